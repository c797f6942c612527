"""The samples of the page about a package that works on PostgreSQL only."""

import pytest
from django.db import connection

from tests.test_docs import ON_POSTGRESQL, run_afresh


@pytest.mark.skipif(connection.vendor != "postgresql", reason="the package has triggers of PostgreSQL")
def test_the_samples_of_the_page_run(tmp_path):
    finished = run_afresh(ON_POSTGRESQL, tmp_path)
    assert finished.returncode == 0, finished.stderr
