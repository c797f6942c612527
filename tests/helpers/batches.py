"""What tests read in a batch."""

from heliograph import BeforeCommit


def batches_of(receive, signal, **options):
    received = []

    @receive(signal, delivery=BeforeCommit(batch=True), **options)
    def record(sender, batch, **kwargs):
        received.append(batch)

    return received
