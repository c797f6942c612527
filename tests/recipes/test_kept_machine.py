"""Whatever is written in whatever order, after each transaction kept fields are what `annotate()` says."""

import os
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from heliograph import mute
from tests.app.models import Cart, Shopper, Wallet
from tests.helpers.keeping import Keeping
from tests.helpers.savepoints import by_hand, in_block
from tests.recipes.mixed_writes import EVERYTHING, MODELS, Writes, keep_all

pytestmark = pytest.mark.django_db(transaction=True)

# A run by CI has the same examples each time. With a number of examples of your own, they are random.
EXAMPLES = int(os.environ.get("HELIOGRAPH_TEST_EXAMPLES", "0"))
USUAL_EXAMPLES = 12
STEPS = 10

WRITES = st.tuples(st.sampled_from(EVERYTHING), st.integers(0, 1000))
ENDS = st.sampled_from(["release", "roll back", "raise"])


def steps(inner=None):
    """What is written in a transaction; `inner` is what is in the savepoints in it, Django's or made by hand."""
    blocks = [] if inner is None else [st.tuples(st.booleans(), ENDS, inner)]
    return st.lists(st.one_of(WRITES, WRITES, *blocks), min_size=1, max_size=5)


class Machine(RuleBasedStateMachine):
    """Parents, children and groups, with kept fields of every kind."""

    def __init__(self):
        super().__init__()
        self.keeping = Keeping()
        with mute():
            for model in MODELS:
                model.objects.all().delete()
        keep_all(self.keeping)
        Cart.objects.bulk_create([Cart(shopper=Shopper.objects.create()) for _ in range(3)])
        Wallet.objects.bulk_create([Wallet(title=f"{number}") for number in range(2)])
        self.writes = Writes(Random(0), 1)

    def teardown(self):
        self.keeping.close()

    @rule(done=steps(steps(steps())), how=ENDS)
    def transact(self, done, how):
        """Write some things in a transaction."""
        self.block(False, how, done)
        assert self.keeping.wrong() == []

    @rule(done=st.lists(WRITES, min_size=1, max_size=4))
    def write_alone(self, done):
        """Write some things in autocommit."""
        for step in done:
            self.write(*step)
            assert self.keeping.wrong() == [], step

    def write(self, name, seed):
        self.writes.choose = Random(seed)
        getattr(self.writes, name)()

    def block(self, is_by_hand, how, done):
        with (by_hand if is_by_hand else in_block)(how):
            for step in done:
                (self.block if len(step) == 3 else self.write)(*step)


@pytest.mark.timeout(600)  # the smallest example of a failure takes long to find
def test_r1_r2_r3_r17_kept_fields_are_what_annotate_says_after_each_transaction():
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES or USUAL_EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not EXAMPLES,
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
