"""The promises of onboarding."""

from demo.promises.promise import Promise, audited, mailed

USERS = "SELECT 1 FROM auth_user r"

PROMISES = (
    Promise(
        "onboarding",
        "each user has one profile, and preferences",
        USERS,
        f"{USERS} WHERE (SELECT COUNT(*) FROM onboarding_profile p WHERE p.user_id = r.id) <> 1"
        " OR (SELECT COUNT(*) FROM onboarding_preferences p WHERE p.user_id = r.id) <> 1",
    ),
    Promise("onboarding", "addresses are in small letters", USERS, f"{USERS} WHERE email <> LOWER(email)"),
    mailed(
        "onboarding",
        "each user with an address has a welcome mail",
        "SELECT 1 FROM (SELECT * FROM auth_user WHERE email <> '') r",
        "m.subject = 'Welcome, ' || r.username",
    ),
    Promise(
        "onboarding",
        "and has it once: nobody else was welcomed",
        "SELECT 1 FROM mailing_mail m WHERE m.subject LIKE 'Welcome, %'",
        "SELECT 1 FROM mailing_mail m WHERE m.subject LIKE 'Welcome, %'"
        " AND (SELECT COUNT(*) FROM auth_user u WHERE m.subject = 'Welcome, ' || u.username) <> 1"
        " OR EXISTS (SELECT 1 FROM mailing_mail n WHERE n.message_id <> m.message_id AND n.subject = m.subject"
        " AND n.subject LIKE 'Welcome, %')",
    ),
    Promise(
        "onboarding",
        "the log says that each user has registered",
        USERS,
        f"{USERS} WHERE (SELECT COUNT(*) FROM onboarding_activity a"
        " WHERE a.user_id = r.id AND a.text = 'registered') <> 1",
    ),
    Promise(
        "onboarding",
        "the groups that the code names are there",
        "SELECT 1 FROM auth_group",
        "SELECT 1 WHERE (SELECT COUNT(*) FROM auth_group WHERE name IN ('Shopkeepers', 'Teachers', 'Moderators')) <> 3",
    ),
    audited("onboarding", "onboarding_profile", "onboarding.Profile"),
)
