"""The addresses of the pages."""

from django.urls import path

from backoffice import views

urlpatterns = [
    path("", views.HomeView.as_view(), name="home"),
    path("customers/", views.CustomerListView.as_view(), name="customers"),
    path("customers/<int:number>/", views.CustomerView.as_view(), name="customer"),
    path("orders/", views.OrderListView.as_view(), name="orders"),
    path("orders/<int:pk>/", views.OrderView.as_view(), name="order"),
    path("products/", views.ProductListView.as_view(), name="products"),
    path("products/<slug:slug>/", views.ProductView.as_view(), name="product"),
    path("statistics/", views.StatisticsView.as_view(), name="statistics"),
    path("statistics/<int:year>/<int:month>/", views.MonthView.as_view(), name="month"),
    path("activity/", views.ActivityView.as_view(), name="activity"),
]
