"""The promises of the comments."""

from demo.promises.promise import Promise, audited

COMMENTS = "SELECT 1 FROM comments_comment r"
NAMED = "' ' || r.body || ' ' LIKE '%@' || u.username || '.%' AND u.id <> r.author_id AND r.status = 'shown'"
MENTIONED = "EXISTS (SELECT 1 FROM comments_mention m WHERE m.comment_id = r.id AND m.person_id = u.id)"

PROMISES = (
    Promise(
        "comments",
        "a post knows how many comments are shown",
        "SELECT 1 FROM blog_post r",
        "SELECT 1 FROM blog_post r WHERE r.comments_shown <>"
        " (SELECT COUNT(*) FROM comments_comment c WHERE c.post_id = r.id AND c.status = 'shown')",
    ),
    Promise(
        "comments",
        "a comment knows how many replies are shown",
        COMMENTS,
        f"{COMMENTS} WHERE r.replies_shown <>"
        " (SELECT COUNT(*) FROM comments_comment c WHERE c.parent_id = r.id AND c.status = 'shown')",
    ),
    Promise(
        "comments",
        "a comment with a link was seen by a moderator before others",
        f"{COMMENTS} WHERE r.body LIKE '%://%'",
        f"{COMMENTS} WHERE r.body LIKE '%://%' AND r.status <> 'waiting' AND (SELECT COUNT(*)"
        " FROM heliograph_audit_entry e JOIN heliograph_audit_kind k ON k.id = e.kind_id WHERE k.action = 'updated'"
        " AND k.model = 'comments.Comment' AND e.object = CAST(r.id AS VARCHAR(20))) = 0",
    ),
    Promise(
        "comments",
        "whoever is named in a comment that is shown is mentioned",
        f"SELECT 1 FROM comments_comment r JOIN auth_user u ON {NAMED}",
        f"SELECT 1 FROM comments_comment r JOIN auth_user u ON {NAMED} WHERE NOT {MENTIONED}",
    ),
    Promise(
        "comments",
        "each mention has its mail, unless the person wants none",
        "SELECT 1 FROM comments_mention",
        "SELECT 1 FROM comments_mention m JOIN auth_user u ON u.id = m.person_id"
        " JOIN onboarding_preferences p ON p.user_id = u.id JOIN comments_comment c ON c.id = m.comment_id"
        ' WHERE p.mails_of_mentions AND NOT EXISTS (SELECT 1 FROM mailing_mail l WHERE l."to" = u.email'
        " AND l.subject LIKE '% has mentioned you on %' AND l.body LIKE '%' || c.body || '%')",
    ),
    audited("comments", "comments_comment", "comments.Comment"),
)
