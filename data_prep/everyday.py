"""Sentences about ordinary things, which ask for a neutral face: "He locks the bike."

  python -m data_prep.everyday [--num 20] [--seed 0]

Nobody feels anything in particular when he locks a bike, and people who write of it
expect a neutral face. `data_prep/written` has a thousand such sentences, too few for a
guess to tell them from those of which something follows. These are a subject, something
it does, and now and then a place or a time; or what is said over a counter; or words
for a face without expression. They train the guess (data_prep/free_words.py) and
nothing else, and none of them is ever held out.
"""

import argparse

import numpy as np

from data_prep import written_sentences as written
from tdmm_jax import errors

_PEOPLE = (
  *("he", "she", "a man", "a woman", "the man", "the woman", "a boy", "a girl"),
  *("someone", "a person", "the old man", "the old woman", "a student", "a teacher"),
  *("the nurse", "a driver", "the cook", "the gardener", "a clerk", "the librarian"),
  *(
    "a passenger",
    "the neighbour",
    "the engineer",
    "a farmer",
    "the baker",
    "a tourist",
  ),
  *("the mechanic", "a customer", "the assistant", "the manager", "a colleague", "tom"),
  *("anna", "the caretaker", "the guard", "a painter", "the pharmacist", "a cyclist"),
  *(
    "my uncle",
    "her sister",
    "the tailor",
    "a young woman",
    "the receptionist",
    "maria",
  ),
  *("the electrician", "a waiter", "the plumber", "a sailor", "the secretary", "a vet"),
)
_ACTIONS = """
waits at the crossing|waits for the kettle|waits in line|waits outside
waits for the lights to change|waits for the page to load|waits until it is his turn
stands at the window|stands by the door|stands in the hallway|stands at the counter
stands on the platform|stands next to the car|stands in the queue|stands near the gate
sits at the table|sits on a bench|sits in the car|sits in the back row|sits by the wall
sits opposite the clerk|sits on the tram|sits at the desk|walks to the station
walks down the street|walks across the yard|walks past the shop|walks along the river
walks up the stairs|walks through the park|walks back to the car|comes in and sits down
comes out of the shop|comes down the stairs|goes to the kitchen|goes upstairs
goes to work|goes out to the car|goes to the post office|goes home by tram
looks at the camera|looks at the road|looks at the shelf|looks at the timetable
looks at the clock on the wall|looks out of the window|looks at the next page
looks forward, at nothing in particular|looks into the lens|opens the door
opens the window|opens the fridge|opens the drawer|opens the newspaper|opens the laptop
opens the umbrella|opens the curtains|opens the gate|opens the shop|closes the door
closes the lid|closes the book|closes the blinds|closes the garage|locks the bike
locks the office|unlocks the car|shuts the cupboard|shuts the gate|reads the label
reads the newspaper|reads the menu|reads the sign|reads a magazine|reads the email
reads out the number|reads the weather report|reads the manual|reads the list aloud
reads the notice on the board|reads the meter|writes a shopping list
writes down the address|writes the date on the form|signs the form|signs for the parcel
fills in the form|fills the bucket|fills the tank|fills the glass with water
stamps the ticket|types a report|types in the code|types the address|copies the file
prints the page|prints the tickets|staples the sheets|sends the email|answers the email
answers the phone|dials the number|checks the list|checks the calendar|checks the time
checks the oil|checks the tickets|checks the post|switches on the light
switches off the lamp|turns on the tap|turns off the radio|turns the key
turns left at the corner|turns the knob|presses the button|presses the bell
plugs in the charger|charges the battery|changes the bulb|changes gear
changes the sheets|changes trains|washes the dishes|washes the car|washes the cup
washes the windows|dries the plates|cleans the table|wipes the counter|wipes the board
sweeps the floor|mops the hallway|vacuums the carpet|dusts the shelf|makes the bed
makes tea|makes a sandwich|makes a note|makes a copy|makes coffee for the office
boils an egg|cuts the bread|slices the onions|peels the carrots|stirs the soup
stirs the coffee|pours the milk|pours a glass of water|butters the toast|eats lunch
eats an apple|eats soup|eats breakfast|drinks a glass of water|drinks tea|has lunch
has a cup of coffee|has a meeting at ten|sets the table|clears the table|lays the cloth
loads the dishwasher|unloads the van|loads the truck|packs the bag|packs the boxes
unpacks the shopping|carries the bags|carries the chairs inside|carries a box upstairs
carries the tray|brings the menu|brings the chairs|brings in the washing
hands over the keys|hands out the sheets|hands him the receipt|gives the address
gives the date of birth|gives the change back|passes the salt|passes the folder
takes the bus|takes the lift|takes the second street on the right
takes the ticket from the machine|takes off the coat|takes out the rubbish|takes a seat
takes notes|takes the order|takes a number|puts on a jacket|puts on the glasses
puts the cup down|puts the book back on the shelf|puts the keys on the hook
puts on shoes|puts the milk in the fridge|puts a coin in the machine|puts the lid on
puts on a seat belt|hangs up the coat|hangs out the washing|hangs the picture
folds the towels|folds the shirt|folds the map|irons a blouse|sews on a button
ties the laces|combs the hair|brushes the teeth|washes both hands|shaves|gets dressed
gets a haircut|gets up from the chair|gets on the tram|gets off at the next stop
gets into the car|gets the mail|gets the ladder|buys a ticket|buys bread|buys two stamps
buys a newspaper|pays at the till|pays by card|pays the bill|pays for the parking
counts the coins|counts the chairs|counts the sheets|counts the boxes in the store
weighs the parcel|weighs the apples|measures the shelf|measures the room
marks the place with a pencil|paints the fence|paints the wall white|sands the board
saws the plank|tightens the screw|oils the hinge|fixes the shelf to the wall
changes the tyre|pumps up the tyre|starts the engine|drives to work
drives along the main road|stops at the red light|rides the bike to school
rides the lift to the third floor|crosses the street|crosses the bridge|rakes the leaves
waters the plants|mows the lawn|trims the hedge|digs the flower bed|plants the beans
feeds the hens|feeds the cat|walks the dog|milks the cows|sorts the letters
sorts the laundry|sorts the files|stacks the crates|stacks the plates
arranges the chairs|moves the table to the wall|moves the car|moves to the next seat
pushes the trolley|pushes the pram|pulls the blind down|lifts the crate|lowers the flag
adjusts the mirror|adjusts the chair|adjusts the tie|erases the board|rules a line
draws a square|labels the jars|wraps the sandwich|tapes the box shut|scans the code
scans the items|orders a coffee|orders more paper|books a table for six|books a room
cancels the old subscription|confirms the time|asks for the time|asks for the next name
asks where the stairs are|says the number of the room|says the time
says that the shop opens at nine|tells the driver the address|names the next stop
announces the platform|gives directions|explains the form|repeats the number
talks about the weather|talks on the phone|speaks into the microphone
takes down the minutes|hears the doorbell
sees the bus coming|watches the traffic|watches the wash go round
renews the library card|returns the book|borrows a pen|shows the ticket|shows the pass
works at the desk|works on the second floor|uses the printer|uses the stairs
leaves the office at five|leaves the room|leaves a note on the table|leaves the keys
arrives at eight|arrives with the parcel|lives on the third floor|lives near the school
does the dishes|does the accounts|does the laundry on Monday|does nothing in particular
updates the software|saves the file|deletes the old copies|logs in|resets the router
does not react|has no expression|keeps a straight face|keeps the same expression
is neither happy nor sad|is just there|stands still
sits still for the photo|is having a normal day|is on the way to work|is at home
"""
_TAILS = (
  *(
    "in the morning",
    "before lunch",
    "after work",
    "at noon",
    "on Tuesday",
    "as usual",
  ),
  *(
    "at half past eight",
    "in the office",
    "at home",
    "in the kitchen",
    "at the station",
  ),
  *(
    "in the corridor",
    "like every day",
    "with one hand",
    "and goes on",
    "and moves on",
  ),
  *("on the way home", "at the back", "then the next one", "in the village", "at work"),
)
_SAID = (
  *("that's four euros twenty", "platform two", "sign here please", "next please"),
  *("the meeting is at three", "do you need a receipt?", "the toilets are on the left"),
  *(
    "your number is forty-one",
    "cash or card?",
    "the shop closes at eight",
    "one moment",
  ),
  *("second floor, room nine", "please fill in both sides", "with milk or without?"),
  *("the bus leaves at ten past", "it's around the corner", "i'll be there at six"),
  *("the form is on the website", "yes, that is my address", "the code is 4417"),
  *("we are open from nine to five", "please take a seat", "window or aisle?"),
  *(
    "the train stops here",
    "today it is twelve degrees",
    "the password is on the card",
  ),
  *("turn right after the bank", "the printer is in the hall", "it weighs three kilos"),
  *("the table is made of wood", "the wall is grey", "the lesson starts at eight"),
  *("the parcel arrives on Friday", "there are two chairs in the room", "no news"),
  *("the street is closed", "i am on the train", "the fridge is next to the sink"),
  *("picked up the car", "same time tomorrow", "the office has moved", "step forward"),
)
_TAGS = ("says the clerk", "he says", "she says", "says the voice", "reads the sign")
_BLANK_SUBJECTS = ("his face", "her face", "the face", "the expression", "that look")
_BLANK = (
  *("says nothing", "shows nothing", "is blank", "is empty"),
  *(
    "does not change",
    "stays the same",
    "is unreadable",
    "is a mask",
    "is expressionless",
  ),
  *(
    "is as blank as paper",
    "betrays no emotion",
    "is devoid of expression",
    "is neutral",
  ),
  *("could be carved in stone", "has nothing in it", "tells you nothing", "is at rest"),
)
_WITHOUT = (
  *("without any expression", "without a trace of emotion", "with a blank face"),
  *("with no expression at all", "face unreadable", "expressionless", "deadpan"),
  *("with a straight face", "with a stony face", "without a flicker"),
  *(
    "neither smiling nor frowning",
    "neither happy nor sad",
    "not smiling, not frowning",
  ),
  *(
    "matter-of-factly",
    "in a flat voice",
    "like a robot",
    "like a statue",
    "blank-faced",
  ),
)
_LABELS = (
  *("a plain face", "no expression", "resting face", "default face"),
  *("nothing special", "no particular mood", "blank look", "no reaction"),
  *(
    "id card picture",
    "face forward, nothing else",
    "neutral pose",
    "relaxed and plain",
  ),
  *(
    "mannequin",
    "wax figure",
    "a mask without features",
    "robot face",
    "straight face",
  ),
)
_SHARES = {"does": 0.7, "said": 0.1, "blank": 0.07, "without": 0.1, "label": 0.03}
_TAIL, _LOWER, _BARE, _GERUND = 0.25, 0.15, 0.25, 0.1  # how often


def actions() -> list[str]:
  """All that is done, in the third person."""
  return [
    phrase for line in _ACTIONS.split("\n") for phrase in line.split("|") if phrase
  ]


def sentence(rng: np.random.Generator) -> str:
  """One sentence."""
  pick = lambda choices: choices[rng.integers(len(choices))]
  kind = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
  if kind == "label":
    text = pick(_LABELS)
  elif kind == "blank":
    text = f"{pick(_BLANK_SUBJECTS)} {pick(_BLANK)}"
  elif kind == "said":
    text = pick(_SAID)
    if rng.random() < 0.5:
      return f'"{text[0].upper()}{text[1:]}," {pick(_TAGS)}.'.replace('?,"', '?"')
  else:
    done = pick(actions())
    if rng.random() < _TAIL and kind == "does":
      done = f"{done} {pick(_TAILS)}"
    if kind == "without":
      done = f"{done} {pick(_WITHOUT)}"
    text = done if rng.random() < _GERUND else f"{pick(_PEOPLE)} {done}"
  return _written(text, rng)


def _written(text: str, rng) -> str:
  """With a capital and a full stop, or as people toss it off."""
  if rng.random() < _LOWER:
    return text
  text = text[0].upper() + text[1:]
  return text if text[-1] in "?!." or rng.random() < _BARE else f"{text}."


def sentences(num: int, seed: int = 0) -> list[str]:
  """`num` different sentences, none of which is in data_prep/written."""
  plain = lambda text: " ".join(written.words(text))
  taken = {plain(row["text"]) for row in written.load()}
  rng, found = np.random.default_rng(seed), {}
  while len(found) < num:
    text = sentence(rng)
    if plain(text) not in taken:
      found[text] = None
  return list(found)


@errors.entry_point("data_prep.everyday")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.everyday", description=__doc__.split("\n")[0]
  )
  parser.add_argument("--num", type=int, default=20)
  parser.add_argument("--seed", type=int, default=0)
  args = parser.parse_args(argv)
  print("\n".join(sentences(args.num, args.seed)))


if __name__ == "__main__":
  main()
