"""The pages: each reads what the receivers have kept."""

from typing import Any

from django.db.models import F, Max, Min, Q, QuerySet, Sum
from django.http import Http404
from django.views.generic import DetailView, ListView, TemplateView

from activity.models import Entry
from analytics.models import CustomerStatistics, DailyStatistics
from analytics.months import Month, months
from analytics.totals import totals
from backoffice.charts import bars, calendars, timelines
from store.models import Customer, Genre, Inventory, Order, Product


class HomeView(TemplateView):
    """The shop at a glance."""

    template_name = "backoffice/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the totals, the months, the latest orders and the best customers."""
        return super().get_context_data(
            totals=totals(),
            stock=Inventory.objects.aggregate(on_hand=Sum("on_hand", default=0))["on_hand"],
            chart=bars.of_months(months()),
            orders=Order.objects.select_related("customer")[:8],
            best=_statistics().order_by("-cents")[:8],
            **kwargs,
        )


class CustomerListView(ListView):
    """The customers, searched and sorted."""

    template_name = "backoffice/customers.html"
    paginate_by = 25
    sorts = {
        "number": ("Number", ["customer__number"]),
        "spent": ("Spent most", ["-cents", "customer__number"]),
        "orders": ("Most orders", ["-orders", "customer__number"]),
        "recent": ("Bought last", [F("last").desc(nulls_last=True), "customer__number"]),
    }

    def get_queryset(self) -> QuerySet[CustomerStatistics]:
        """Return the customers whose number, here or in the full data set, begins with the searched digits."""
        search = self.request.GET.get("q", "").strip()
        found = Q(customer__number__startswith=search) | Q(customer__cdnow_number__startswith=search)
        return _statistics().filter(found).order_by(*self.sorts[self.sort][1])

    @property
    def sort(self) -> str:
        """The sort that was asked for, if there is such a one."""
        asked = self.request.GET.get("sort")
        return asked if asked in self.sorts else "number"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the sorts to choose from."""
        sorts = [(name, title) for name, (title, _) in self.sorts.items()]
        return super().get_context_data(sorts=sorts, sort=self.sort, **kwargs)


class CustomerView(DetailView):
    """A customer, their statistics and their orders."""

    template_name = "backoffice/customer.html"
    queryset = Customer.objects.select_related("statistics")
    slug_field = slug_url_kwarg = "number"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the orders, and when they were placed as a picture."""
        orders = list(self.object.orders.all())
        days = DailyStatistics.objects.aggregate(first=Min("day"), last=Max("day"))
        timeline = timelines.of_orders(orders, **days)
        return super().get_context_data(orders=orders, timeline=timeline, days=days, **kwargs)


class OrderListView(ListView):
    """The orders, the latest first."""

    template_name = "backoffice/orders.html"
    queryset = Order.objects.select_related("customer")
    paginate_by = 25


class OrderView(DetailView):
    """An order and its CDs."""

    template_name = "backoffice/order.html"
    queryset = Order.objects.select_related("customer__statistics").prefetch_related("items__product__artist")


class ProductListView(ListView):
    """The CDs and how many are on hand, of one genre or of all."""

    template_name = "backoffice/products.html"

    def get_queryset(self) -> QuerySet[Product]:
        """Return the products of the genre that was asked for."""
        products = Product.objects.select_related("artist", "inventory").order_by("artist__name", "year")
        genre = self.request.GET.get("genre")
        return products.filter(genres__slug=genre) if genre else products

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the genres to choose from."""
        return super().get_context_data(genres=Genre.objects.all(), genre=self.request.GET.get("genre"), **kwargs)


class ProductView(DetailView):
    """A CD, its inventory, what it cost, where it came from and who bought it."""

    template_name = "backoffice/product.html"
    queryset = Product.objects.select_related("artist", "inventory").prefetch_related("genres", "restocks")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the latest sales."""
        sales = self.object.items.select_related("order__customer").order_by("-pk")[:12]
        return super().get_context_data(sales=sales, **kwargs)


class StatisticsView(TemplateView):
    """The sales of every day as a calendar, and of every month as a table."""

    template_name = "backoffice/statistics.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the calendars and the months."""
        days = list(DailyStatistics.objects.all())
        most = max((month.cents for month in months()), default=0)
        return super().get_context_data(calendars=calendars.of_days(days), months=months(), most=most, **kwargs)


class MonthView(TemplateView):
    """The sales of a month, day by day."""

    template_name = "backoffice/month.html"

    def get_context_data(self, *, year: int, month: int, **kwargs: Any) -> dict[str, Any]:
        """Add the days, and the months before and after."""
        days = DailyStatistics.objects.filter(day__year=year, day__month=month)
        before, this, after = _around((year, month))
        chart = bars.of_days(days)
        return super().get_context_data(month=this, days=days, chart=chart, before=before, after=after, **kwargs)


class ActivityView(ListView):
    """The activity log, of one kind or of all."""

    template_name = "backoffice/activity.html"
    paginate_by = 40

    def get_queryset(self) -> QuerySet[Entry]:
        """Return the entries of the kind that was asked for."""
        kind = self.request.GET.get("kind")
        return Entry.objects.filter(kind=kind) if kind else Entry.objects.all()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the kinds to choose from."""
        return super().get_context_data(kinds=Entry.Kind.choices, kind=self.request.GET.get("kind"), **kwargs)


def _statistics() -> QuerySet[CustomerStatistics]:
    return CustomerStatistics.objects.select_related("customer")


def _around(wanted: tuple[int, int]) -> tuple[Month | None, Month, Month | None]:
    """Return the wanted month between those before and after it."""
    known = [None, *months(), None]
    for before, month, after in zip(known, known[1:], known[2:], strict=False):
        if month and (month.day.year, month.day.month) == wanted:
            return before, month, after
    raise Http404("Nothing was sold in that month.")
