"""The promises of the statistics."""

from demo.promises.promise import Promise, audited

REPORTS = "SELECT 1 FROM analytics_report r"
DAY = "CAST(r.day AS VARCHAR(10))"
OF_DAY = f"SUBSTR(CAST(p.bought_at AS VARCHAR(30)), 1, 10) = {DAY} AND NOT p.is_cancelled"

PROMISES = (
    Promise(
        "analytics",
        "a nightly report says what was sold on its day",
        REPORTS,
        f"{REPORTS} WHERE r.orders <> (SELECT COUNT(*) FROM store_order o WHERE o.placed_on = r.day)"
        f" OR r.purchases <> (SELECT COUNT(*) FROM bookstore_purchase p WHERE {OF_DAY})"
        " OR r.cents <> (SELECT COALESCE(SUM(o.cents), 0) FROM store_order o WHERE o.placed_on = r.day)"
        f" + (SELECT COALESCE(SUM(p.cents), 0) FROM bookstore_purchase p WHERE {OF_DAY})",
    ),
    Promise(
        "analytics",
        "each report was announced by one webhook",
        REPORTS,
        "SELECT 1 FROM (SELECT (SELECT COUNT(*) FROM analytics_report) AS reports,"
        " (SELECT COUNT(*) FROM heliograph_webhooks_message WHERE event = 'report.made') AS messages) c"
        " WHERE reports <> messages",
    ),
    audited("analytics", "analytics_report", "analytics.Report"),
)
