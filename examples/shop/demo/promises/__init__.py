"""The promises of the applications, counted from the tables by SQL that knows nothing of the models.

A mail is counted by its Message-ID. `mail()` sends it again if a worker is killed before it has recorded that the mail
was sent; both have the same Message-ID, by which a reader's program knows that they are one mail.
"""
