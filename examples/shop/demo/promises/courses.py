"""The promises of the courses."""

from functools import partial

from demo.promises.files import differences
from demo.promises.promise import Promise, audited, mailed

COURSES = "SELECT 1 FROM courses_course r"
ENROLMENTS = "SELECT 1 FROM courses_enrolment r"
LESSONS = "SELECT COUNT(*) FROM courses_lesson n WHERE n.course_id = r.course_id"
DONE = "SELECT COUNT(*) FROM courses_completion c WHERE c.enrolment_id = r.id"

PROMISES = (
    Promise(
        "courses",
        "a course knows its students and its graduates",
        COURSES,
        f"{COURSES} WHERE r.students <> (SELECT COUNT(*) FROM courses_enrolment e WHERE e.course_id = r.id)"
        " OR r.graduates <> (SELECT COUNT(*) FROM courses_enrolment e WHERE e.course_id = r.id AND e.is_completed)"
        " OR r.lessons_given <> (SELECT COUNT(*) FROM courses_lesson n WHERE n.course_id = r.id)",
    ),
    Promise(
        "courses",
        "progress is the number of lessons that are done",
        ENROLMENTS,
        f"{ENROLMENTS} WHERE r.lessons_done <> ({DONE})",
    ),
    Promise(
        "courses",
        "a course is completed when all its lessons are done, and has a time",
        ENROLMENTS,
        f"{ENROLMENTS} WHERE r.is_completed <> (({DONE}) = ({LESSONS}))"
        " OR r.is_completed <> (r.completed_at IS NOT NULL)",
    ),
    Promise(
        "courses",
        "whoever has completed a course has one certificate, and nobody else",
        ENROLMENTS,
        f"{ENROLMENTS} WHERE (SELECT COUNT(*) FROM courses_certificate c WHERE c.enrolment_id = r.id)"
        " <> CASE WHEN r.is_completed THEN 1 ELSE 0 END",
    ),
    mailed(
        "courses",
        "each certificate has its mail",
        "SELECT 1 FROM (SELECT f.id, f.file, u.email FROM courses_certificate f JOIN courses_enrolment e"
        " ON e.id = f.enrolment_id JOIN auth_user u ON u.id = e.student_id) r",
        "m.\"to\" = r.email AND m.body LIKE '%/' || r.file || '.%'",
    ),
    Promise(
        "courses",
        "a certificate is a file, and no other file is there",
        "SELECT 1 FROM courses_certificate",
        partial(differences, "courses_certificate", "file", "certificates"),
    ),
    Promise(
        "courses",
        "a thumbnail is a file, and no other file is there",
        "SELECT 1 FROM courses_course WHERE thumbnail <> ''",
        partial(differences, "courses_course", "thumbnail", "thumbnails"),
    ),
    audited("courses", "courses_course", "courses.Course"),
    audited("courses", "courses_enrolment", "courses.Enrolment"),
    audited("courses", "courses_certificate", "courses.Certificate"),
)
