"""Names for what its owner has not named."""

from auth_server.clock import Random

_QUALITIES = (
    "amber bold brave bright brisk calm clever crisp eager early fair fancy fleet fond gentle glad golden "
    "grand happy hardy honest jolly keen kind lively lucky mellow merry mild neat noble patient plain "
    "proud quick quiet rapid ready robust royal rustic silent silver sincere sleek smart snowy sober "
    "solid steady sunny swift tidy tough trusty useful vivid warm wise witty young"
).split()
_ANIMALS = (
    "badger bear beaver bee bison cat condor coral crab crane cricket deer dingo dolphin dove dragonfly "
    "duck eagle egret falcon ferret finch fox frog gecko goose grouse gull hare hawk heron horse ibis "
    "jackal jay koala lark lemur lion lizard llama lynx mole moose moth newt otter owl panda parrot "
    "pelican penguin pony puffin quail rabbit raven robin salmon seal"
).split()


def pet_name(random: Random) -> str:
    """Return a random name of two words."""
    one, two = random(2)
    return f"{_QUALITIES[one % len(_QUALITIES)]} {_ANIMALS[two % len(_ANIMALS)]}".title()
