"""The comments on posts: replies, mentions, and moderation."""
