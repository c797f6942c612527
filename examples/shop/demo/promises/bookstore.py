"""The promises of the bookstore."""

from functools import partial

from demo.promises.files import differences
from demo.promises.promise import Promise, audited, mailed

BOOKS = "SELECT 1 FROM bookstore_book r"
SOLD = "SELECT COALESCE(SUM(quantity), 0) FROM bookstore_purchase p WHERE p.book_id = r.id AND NOT is_cancelled"
EARNED = (
    "SELECT COALESCE(SUM((p.cents - p.cents % 100) / 100), 0) FROM bookstore_purchase p"
    " WHERE p.reader_id = r.reader_id AND NOT is_cancelled"
)

PROMISES = (
    Promise(
        "bookstore",
        "a book is rated by the average of its reviews",
        BOOKS,
        f"{BOOKS} LEFT JOIN (SELECT book_id, AVG(stars) AS stars, COUNT(*) AS number FROM bookstore_review"
        " GROUP BY book_id) v ON v.book_id = r.id WHERE COALESCE(v.number, 0) <> r.reviews_written"
        " OR ABS(COALESCE(v.stars, 0) - COALESCE(r.rating, 0)) > 0.000001",
    ),
    Promise(
        "bookstore",
        "the stock is what came in, less what was sold, and never below zero",
        BOOKS,
        f"{BOOKS} WHERE r.stock < 0 OR r.stock <> r.received - ({SOLD})",
    ),
    Promise(
        "bookstore",
        "a book that runs low has an alert",
        f"{BOOKS} WHERE r.stock < 5",
        f"{BOOKS} WHERE r.stock < 5 AND r.received >= 5"
        " AND NOT EXISTS (SELECT 1 FROM bookstore_stockalert a WHERE a.book_id = r.id)",
    ),
    Promise(
        "bookstore",
        "each alert is one mail",
        "SELECT 1 FROM bookstore_stockalert",
        "SELECT 1 FROM (SELECT (SELECT COUNT(*) FROM bookstore_stockalert) AS alerts,"
        " (SELECT COUNT(DISTINCT message_id) FROM mailing_mail WHERE subject LIKE 'Only % left of %') AS mails) c"
        " WHERE alerts <> mails",
    ),
    Promise(
        "bookstore",
        "a card has a point for each dollar of what was not cancelled",
        "SELECT 1 FROM bookstore_loyaltycard r",
        f"SELECT 1 FROM bookstore_loyaltycard r WHERE r.points <> ({EARNED})",
    ),
    Promise(
        "bookstore",
        "authors know how many books they have",
        "SELECT 1 FROM bookstore_author r",
        "SELECT 1 FROM bookstore_author r WHERE r.books_written <>"
        " (SELECT COUNT(*) FROM bookstore_book_authors p WHERE p.author_id = r.id)",
    ),
    Promise(
        "bookstore",
        "categories know how many books they have",
        "SELECT 1 FROM bookstore_category r",
        "SELECT 1 FROM bookstore_category r WHERE r.books_inside <>"
        " (SELECT COUNT(*) FROM bookstore_book_categories p WHERE p.category_id = r.id)",
    ),
    Promise(
        "bookstore",
        "no two books have one address",
        BOOKS,
        f"{BOOKS} WHERE r.slug = '' OR (SELECT COUNT(*) FROM bookstore_book b WHERE b.slug = r.slug) <> 1",
    ),
    Promise(
        "bookstore",
        "featured books are still there",
        f"{BOOKS} WHERE r.is_featured",
        "SELECT 1 FROM heliograph_audit_entry e JOIN heliograph_audit_kind k ON k.id = e.kind_id"
        " WHERE k.model = 'bookstore.Book' AND k.action = 'deleted' AND e.changes LIKE '%\"is_featured\":[true%'",
    ),
    mailed(
        "bookstore",
        "each review has thanks by mail",
        "SELECT 1 FROM (SELECT v.id, u.email, b.title FROM bookstore_review v JOIN auth_user u ON u.id = v.reader_id"
        " JOIN bookstore_book b ON b.id = v.book_id) r",
        "m.\"to\" = r.email AND m.subject = 'Thank you for your review of ' || r.title",
    ),
    Promise(
        "bookstore",
        "and a purchase one confirmation",
        "SELECT 1 FROM bookstore_purchase",
        "SELECT 1 FROM (SELECT (SELECT COUNT(*) FROM bookstore_purchase) AS bought,"
        " (SELECT COUNT(DISTINCT message_id) FROM mailing_mail WHERE subject LIKE 'You have bought %') AS mails) c"
        " WHERE bought <> mails",
    ),
    Promise(
        "bookstore",
        "a cover is a file, and no other file is there",
        "SELECT 1 FROM bookstore_book WHERE cover <> ''",
        partial(differences, "bookstore_book", "cover", "covers"),
    ),
    audited("bookstore", "bookstore_book", "bookstore.Book"),
    audited("bookstore", "bookstore_review", "bookstore.Review"),
    audited("bookstore", "bookstore_purchase", "bookstore.Purchase"),
)
