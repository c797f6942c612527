"""The promises of the payments."""

from demo.promises.promise import Promise, audited

PAYMENTS = (
    "SELECT 1 FROM (SELECT p.*, b.is_cancelled, 'purchase ' || CAST(p.purchase_id AS VARCHAR(20)) AS reference"
    " FROM payments_payment p JOIN bookstore_purchase b ON b.id = p.purchase_id) r"
)
# A line of 0 cents is a charge that was withdrawn before it was made.
CHARGES = "SELECT COUNT(*) FROM payments_charge c WHERE c.reference = r.reference AND c.cents <> 0"
CHARGED = f"({CHARGES} AND c.cents = r.cents)"
REFUNDED = f"({CHARGES} AND c.cents = -r.cents)"

PROMISES = (
    Promise(
        "payments",
        "what is paid and not cancelled has one charge, of its cents",
        f"{PAYMENTS} WHERE r.status = 'paid'",
        f"{PAYMENTS} WHERE r.status = 'paid' AND (({CHARGES}) <> 1 OR {CHARGED} <> 1)",
    ),
    Promise(
        "payments",
        "a card that is refused has no charge",
        f"{PAYMENTS} WHERE r.card = 'refused'",
        f"{PAYMENTS} WHERE r.card = 'refused' AND (({CHARGES}) <> 0 OR r.status NOT IN ('refused', 'withdrawn'))",
    ),
    Promise(
        "payments",
        "a charge that is withdrawn was not made",
        f"{PAYMENTS} WHERE r.status = 'withdrawn'",
        f"{PAYMENTS} WHERE r.status = 'withdrawn' AND (({CHARGES}) <> 0 OR NOT r.is_cancelled)",
    ),
    Promise(
        "payments",
        "what was paid and is cancelled has one refund",
        f"{PAYMENTS} WHERE r.status = 'refunded'",
        f"{PAYMENTS} WHERE r.status = 'refunded' AND (({CHARGES}) <> 2 OR {CHARGED} <> 1 OR {REFUNDED} <> 1)",
    ),
    Promise(
        "payments",
        "no payment waits, and only payments of cancelled purchases are refused, refunded or withdrawn",
        PAYMENTS,
        f"{PAYMENTS} WHERE r.status = 'waiting'"
        " OR r.is_cancelled <> (r.status IN ('refused', 'refunded', 'withdrawn'))",
    ),
    Promise(
        "payments",
        "nothing is charged for what nobody has paid",
        "SELECT 1 FROM payments_charge",
        "SELECT 1 FROM payments_charge c WHERE NOT EXISTS (SELECT 1 FROM payments_payment p"
        " WHERE c.reference = 'purchase ' || CAST(p.purchase_id AS VARCHAR(20)))",
    ),
    audited("payments", "payments_payment", "payments.Payment"),
)
