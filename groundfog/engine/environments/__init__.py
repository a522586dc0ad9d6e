"""Environments: the Python and the packages that a program finds, made once and kept.

An environment is one layer or two. The lower is what a recipe asks for, the same for all jobs of an image; the upper
is what a source directory's requirements.txt or setup.py adds. A layer is named by all that it is made of, and built
by whoever needs it first, while others who need it wait.

    recipe      what is asked for, and where it came to lie
    profiles    recipes by the names of images: images.toml
    pythons     which Pythons this machine has
    sharing     what of the server's own is used again
    index       where pip finds packages
    source      what a source directory adds
    layer       one layer on disk
    installing  pip, behind the wall
    store       all layers: built, kept, collected
"""

from groundfog.engine.environments.recipe import Environment, Recipe
from groundfog.engine.environments.store import Environments

__all__ = ["Environment", "Environments", "Recipe"]
