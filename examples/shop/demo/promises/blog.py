"""The promises of the blog."""

from demo.promises.promise import Promise, audited

POSTS = "SELECT 1 FROM blog_post r"
PUBLISHED = "SELECT 1 FROM blog_post r WHERE r.status = 'published'"
FOLLOWING = (
    "FROM (SELECT p.id AS post_id, f.follower_id FROM blog_post p JOIN blog_follow f ON f.author_id = p.author_id"
    " WHERE p.status = 'published' AND f.follower_id IN (SELECT id FROM auth_user WHERE username LIKE 'reader%')) r"
)
FOUND = "SELECT COUNT(*) FROM heliograph_search_searchdocument d WHERE d.model = 'blog.Post' AND d.key"

PROMISES = (
    Promise(
        "blog",
        "a post has a time since when it is published, and only then",
        POSTS,
        f"{POSTS} WHERE (r.status = 'draft') <> (r.published_at IS NULL) OR r.edited_at IS NULL",
    ),
    Promise(
        "blog",
        "no two posts have one address",
        POSTS,
        f"{POSTS} WHERE r.slug = '' OR (SELECT COUNT(*) FROM blog_post p WHERE p.slug = r.slug) <> 1",
    ),
    Promise(
        "blog",
        "the search index has each post that is published, and no other",
        PUBLISHED,
        f"{POSTS} WHERE (r.status = 'published') <> (({FOUND} = CAST(r.id AS VARCHAR(20))) = 1)"
        f" UNION ALL SELECT 1 FROM (SELECT ({FOUND} <> '') AS documents, (SELECT COUNT(*) FROM blog_post"
        " WHERE status = 'published') AS posts) c WHERE documents <> posts",
    ),
    Promise(
        "blog",
        "each reader knows of each post of an author whom the reader follows",
        f"SELECT 1 {FOLLOWING}",
        f"SELECT 1 {FOLLOWING} WHERE (SELECT COUNT(*) FROM blog_notification n"
        " WHERE n.post_id = r.post_id AND n.follower_id = r.follower_id) <> 1",
    ),
    Promise(
        "blog",
        "authors know how much they have written, and how much was said about it",
        "SELECT 1 FROM blog_authorstatistics r",
        "SELECT 1 FROM (SELECT u.id, COUNT(p.id) AS posts,"
        " COUNT(CASE WHEN p.status = 'published' THEN 1 END) AS published,"
        " COALESCE(SUM((SELECT COUNT(*) FROM comments_comment c WHERE c.post_id = p.id AND c.status = 'shown')), 0)"
        " AS comments FROM auth_user u LEFT JOIN blog_post p ON p.author_id = u.id GROUP BY u.id) w"
        " LEFT JOIN blog_authorstatistics s ON s.author_id = w.id WHERE COALESCE(s.posts, 0) <> w.posts"
        " OR COALESCE(s.published, 0) <> w.published OR COALESCE(s.comments, 0) <> w.comments",
    ),
    audited("blog", "blog_post", "blog.Post"),
)
