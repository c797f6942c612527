"""The addresses of the courses."""

from django.urls import path

from courses import views

app_name = "courses"
urlpatterns = [
    path("", views.CourseListView.as_view(), name="courses"),
    path("give/", views.give, name="give"),
    path("course/<slug:slug>/", views.CourseView.as_view(), name="course"),
    path("course/<slug:slug>/enrol/", views.enrol, name="enrol"),
    path("course/<slug:slug>/leave/", views.leave, name="leave"),
    path("course/<slug:slug>/draw/", views.draw, name="draw"),
    path("course/<slug:slug>/<int:number>/", views.LessonView.as_view(), name="lesson"),
    path("course/<slug:slug>/<int:number>/finish/", views.finish, name="finish"),
]
