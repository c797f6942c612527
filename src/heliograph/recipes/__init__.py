"""Recipes: what projects write with signals most, each by one declaration that is right under concurrent writers.

A *declaration* is a call of a recipe. It stands in `receivers.py` or `models.py`, connects ordinary receivers, which
`signals list` shows, and returns a handle with `disconnect()`. What cannot be kept right is refused where it is
declared. `manage.py recipes list` prints all declarations with their lines. A *subject* is a thing that a declaration
keeps right and that can be compared with its truth, such as a kept field: `verify`, `verify --repair` and `backfill`
walk through all subjects.

A recipe is one file, uses public names of Heliograph, and imports no other recipe. `declarations` connects it:

    def touch(model, name, *, when):
        def connect(declaration, model):  # called with the class, once models are loaded
            model._meta.get_field(name)  # raises what is refused
            declaration.connect(pre_save, partial(set_now, name), sender=model, when=when, writes=[name])
            declaration.subjects = (...,)  # see `subjects`; most recipes have none

        return declare(written("touch", model, name, when=when), connect, model)
"""

from typing import TYPE_CHECKING

from heliograph.lazy_names import lazy_names
from heliograph.recipes.cached_values import cached
from heliograph.recipes.clean_up_files import clean_up_files
from heliograph.recipes.declarations import Declaration
from heliograph.recipes.generate import generate
from heliograph.recipes.indexing import ComparableBackend, IndexingError, SearchBackend
from heliograph.recipes.invalidate import invalidate
from heliograph.recipes.kept.declaring import keep, keep_groups
from heliograph.recipes.mail import MailRefusedError, mail
from heliograph.recipes.normalize import normalize
from heliograph.recipes.protect import ProtectedRowError, protect
from heliograph.recipes.related import ensure_related
from heliograph.recipes.reserved.reserving import reserve
from heliograph.recipes.reserved.stocks import OutOfStock
from heliograph.recipes.search_index import search_index
from heliograph.recipes.seeding import seed
from heliograph.recipes.slugs import unique_slug
from heliograph.recipes.stamp import stamp
from heliograph.recipes.transitions import ForbiddenTransition, transitions

if TYPE_CHECKING:
    from heliograph.recipes.webhooks.declared_events import webhook

__all__ = [
    "ComparableBackend",
    "Declaration",
    "ForbiddenTransition",
    "IndexingError",
    "MailRefusedError",
    "OutOfStock",
    "ProtectedRowError",
    "SearchBackend",
    "cached",
    "clean_up_files",
    "ensure_related",
    "generate",
    "invalidate",
    "keep",
    "keep_groups",
    "mail",
    "normalize",
    "protect",
    "reserve",
    "search_index",
    "seed",
    "stamp",
    "transitions",
    "unique_slug",
    "webhook",
]

# These modules are imported when somebody asks for their names: the package is imported before models can be.
__getattr__ = lazy_names(__name__, {"webhook": "webhooks.declared_events"})
