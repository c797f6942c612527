"""The bookstore: what it promises its readers and its shopkeepers."""

from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F, ProtectedError
from django.test import TestCase, TransactionTestCase
from heliograph.audit import history
from heliograph.outbox import drain
from heliograph.testing import OutboxTests

from bookstore import services
from bookstore.best import best_books
from bookstore.models import Author, Book, Category, Points, Purchase, Review, StockAlert
from bookstore.receivers import alert_shopkeepers
from pages.testing import FilesInMemory, after_looking


class BookstoreTestCase(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada, cls.ben = (User.objects.create_user(name, f"{name}@example.com") for name in ("ada", "ben"))
        cls.book = Book.objects.create(title="Salt and Copper", cents=1350, stock=10, received=10)
        drain()
        mail.outbox.clear()

    def stored(self, book=None) -> Book:
        return Book.objects.get(pk=(book or self.book).pk)

    def subjects(self) -> list[str]:
        drain()
        return sorted(letter.subject for letter in mail.outbox)


class ReviewTests(BookstoreTestCase):
    def review(self, reader, stars) -> Review:
        return Review.objects.create(book=self.book, reader=reader, stars=stars)

    def test_a_book_is_rated_by_its_reviews(self):
        self.review(self.ada, 5)
        self.review(self.ben, 2)
        self.assertEqual((self.stored().rating, self.stored().reviews_written), (3.5, 2))

    def test_the_rating_follows_a_review_that_changes_or_goes(self):
        mine = self.review(self.ada, 5)
        self.review(self.ben, 2)
        mine.stars = 1
        mine.save()
        self.assertEqual(self.stored().rating, 1.5)
        Review.objects.filter(reader=self.ben).delete()
        self.assertEqual(self.stored().rating, 1)

    def test_and_a_reader_who_is_deleted(self):
        self.review(self.ada, 5)
        self.ada.delete()
        self.assertEqual((self.stored().rating, self.stored().reviews_written), (None, 0))

    def test_a_reader_is_thanked_for_a_review_once(self):
        mine = self.review(self.ada, 5)
        mine.stars = 4
        mine.save()
        self.assertEqual(self.subjects(), ["Thank you for your review of Salt and Copper"])
        self.assertIn("4 stars", mail.outbox[0].body)

    def test_a_review_that_is_rolled_back_counts_for_nothing(self):
        with transaction.atomic():
            self.review(self.ada, 1)
            transaction.set_rollback(True)
        self.assertEqual((self.stored().rating, self.subjects()), (None, []))


class CacheTests(TransactionTestCase):
    def test_a_new_review_is_seen_on_the_list_of_best_books(self):
        reader = User.objects.create_user("ada")
        one, two = (Book.objects.create(title=title, cents=100) for title in ("One", "Two"))
        Review.objects.create(book=one, reader=reader, stars=3)
        self.assertEqual([title for title, _, _ in best_books()], ["One"])
        Review.objects.create(book=two, reader=reader, stars=5)
        self.assertEqual([title for title, _, _ in best_books()], ["Two", "One"])


class StockTests(OutboxTests, BookstoreTestCase):
    def test_a_purchase_takes_copies_and_a_cancelled_one_gives_them_back_once(self):
        purchase = services.buy(self.ada, self.book, 3)
        self.assertEqual(self.stored().stock, 7)
        services.cancel(purchase)
        services.cancel(purchase)
        self.assertEqual(self.stored().stock, 10)

    def test_a_purchase_is_confirmed_by_a_mail_with_the_points(self):
        services.buy(self.ada, self.book, 3)
        self.assertEqual(self.subjects(), ["You have bought 3 x Salt and Copper"])
        self.assertIn("Your card has 40 points now.", mail.outbox[0].body)

    def test_nobody_buys_what_is_not_there(self):
        with self.assertRaisesMessage(ValidationError, "Salt and Copper: 11 wanted, 10 left."):
            services.buy(self.ada, self.book, 11)
        self.assertEqual((self.stored().stock, Purchase.objects.count(), Points.objects.count()), (10, 0, 0))
        self.assertEqual(self.subjects(), [])

    def test_shopkeepers_are_alerted_once_when_few_are_left(self):
        for quantity in (5, 1, 1):
            services.buy(self.ada, self.book, quantity)
        self.outbox.assert_enqueued(alert_shopkeepers, product=self.book, left=4, times=1)
        self.assertEqual(self.subjects().count("Only 4 left of Salt and Copper"), 1)

    def test_and_once_more_when_copies_have_come_in_and_are_sold(self):
        services.buy(self.ada, self.book, 6)
        services.restock(self.book, 6)
        services.buy(self.ben, self.book, 7)
        drain()
        self.assertEqual([alert.left for alert in StockAlert.objects.order_by("pk")], [4, 3])

    def test_a_shopkeeper_who_saves_an_old_copy_of_a_book_does_not_bring_copies_back(self):
        old = self.stored()
        services.buy(self.ada, self.book, 3)
        old.title = "Salt & Copper"
        old.save()
        self.assertEqual((self.stored().stock, self.stored().title), (7, "Salt & Copper"))


class PointsTests(BookstoreTestCase):
    def points(self) -> int:
        self.ada.loyalty_card.refresh_from_db()
        return self.ada.loyalty_card.points

    def test_every_user_has_a_card(self):
        self.assertEqual(self.points(), 0)

    def test_a_purchase_earns_a_point_for_each_dollar(self):
        services.buy(self.ada, self.book, 2)
        self.assertEqual(self.points(), 27)

    def test_a_cancelled_purchase_loses_its_points_also_by_a_query(self):
        services.buy(self.ada, self.book, 2)
        services.buy(self.ada, self.book, 1)
        Purchase.objects.filter(quantity=2).update(is_cancelled=True)
        self.assertEqual(self.points(), 13)

    def test_a_purchase_that_is_rolled_back_earns_none(self):
        with transaction.atomic():
            services.buy(self.ada, self.book)
            transaction.set_rollback(True)
        self.assertEqual((self.points(), self.stored().stock), (0, 10))


class ShelfTests(BookstoreTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.jun = Author.objects.create(name="Jun Takeda")
        cls.novels = Category.objects.create(name="Novels")

    def counts(self) -> tuple[int, int]:
        self.jun.refresh_from_db()
        self.novels.refresh_from_db()
        return self.jun.books_written, self.novels.books_inside

    def test_authors_and_categories_know_how_many_books_they_have(self):
        self.book.authors.add(self.jun)
        self.novels.books.add(self.book)
        self.assertEqual(self.counts(), (1, 1))

    def test_they_know_also_when_a_book_is_deleted(self):
        self.book.authors.add(self.jun)
        self.book.categories.add(self.novels)
        self.book.delete()
        self.assertEqual(self.counts(), (0, 0))

    def test_books_with_one_title_have_addresses_of_their_own(self):
        slugs = [Book.objects.create(title="Salt and Copper", cents=1).slug for _ in range(2)]
        self.assertEqual(slugs, ["salt-and-copper-2", "salt-and-copper-3"])

    def test_so_have_authors_and_categories(self):
        slugs = Author.objects.create(name="Jun Takeda!").slug, Category.objects.create(name="Novels!").slug
        self.assertEqual(slugs, ("jun-takeda-2", "novels-2"))

    def test_a_featured_book_stays(self):
        Book.objects.update(is_featured=True)
        with self.assertRaisesMessage(ProtectedError, "Featured books stay."):
            self.book.delete()
        Book.objects.update(is_featured=False)
        self.book.delete()

    def test_the_history_of_a_book_says_who_has_changed_its_price(self):
        Book.objects.update(cents=F("cents") + 150)
        (entry,) = history(self.book).changing("cents").actions("updated")
        self.assertEqual((entry.changes["cents"].old, entry.changes["cents"].new), (1350, 1500))

    def test_reviews_and_purchases_have_a_history_too(self):
        for row in (Review.objects.create(book=self.book, reader=self.ada, stars=5), services.buy(self.ada, self.book)):
            with self.subTest(row):
                self.assertEqual(history(row).actions("created").count(), 1)


class CoverTests(FilesInMemory, TransactionTestCase):
    def setUp(self):
        super().setUp()
        self.book = Book.objects.create(title="Salt and Copper", cents=1350)
        services.draw_cover(self.book, design=0)

    def covers(self) -> list[str]:
        drain()
        return sorted(f"covers/{name}" for name in default_storage.listdir("covers")[1])

    def test_a_cover_that_is_replaced_goes(self):
        services.draw_cover(self.book, design=1)
        self.assertEqual(self.covers(), [self.book.cover.name])

    def test_the_old_one_stays_if_that_is_rolled_back(self):
        old = self.book.cover.name
        with transaction.atomic():
            services.draw_cover(self.book, design=1)
            transaction.set_rollback(True)
        self.assertEqual(self.covers(), [old])

    def test_it_goes_with_the_book(self):
        self.book.delete()
        self.assertEqual(self.covers(), [])


class PageTests(FilesInMemory, BookstoreTestCase):
    def setUp(self):
        super().setUp()
        self.client.force_login(self.ada)

    def post(self, path, **data):
        return self.client.post(f"{self.book.get_absolute_url()}{path}", data, follow=True)

    def test_a_reader_buys_a_book_and_sees_what_that_has_caused(self):
        page = self.post("buy/", quantity=2, action="buy a book")
        self.assertContains(page, "You have bought 2 x Salt and Copper.")
        self.assertContains(page, "bookstore<wbr>.receivers<wbr>.earn_points")
        self.assertNotContains(self.client.get("/books/"), "earn_points")

    def test_a_reader_who_wants_too_many_is_told_how_many_there_are(self):
        self.assertContains(self.post("buy/", quantity=11), "11 wanted, 10 left.")
        self.assertContains(self.post("buy/", quantity=0), "Give a number from 1 on.")

    def test_a_reader_reviews_a_book_and_withdraws_the_review(self):
        self.assertContains(self.post("review/", stars=4, text="Fine."), "Fine.")
        self.assertContains(self.post("review/", stars=9), "A review has one to five stars.")
        self.assertNotContains(self.post("review/withdraw/"), "Fine.")

    def test_a_review_is_stored_once_by_a_double_click(self):
        first_click = Review(book=self.book, reader=self.ada, stars=4, text="Fine.")
        with after_looking("bookstore_review", first_click.save):
            self.assertContains(self.post("review/", stars=4, text="Fine."), "Your review of Salt and Copper is there.")
        self.assertEqual(self.stored().reviews_written, 1)

    def test_a_reader_cancels_no_purchase_of_others(self):
        purchase = services.buy(self.ben, self.book)
        self.assertEqual(self.client.post(f"/books/purchases/{purchase.pk}/cancel/").status_code, 404)

    def test_only_a_shopkeeper_keeps_the_shop(self):
        self.post("keep/", action="feature")
        self.assertFalse(self.stored().is_featured)

    def test_a_shopkeeper_features_a_book_which_nobody_deletes_then(self):
        self.ada.groups.add(Group.objects.get(name="Shopkeepers"))
        self.post("keep/", action="restock", copies=5)
        self.assertContains(self.post("keep/", action="restock", copies=-1), "Nothing was done")
        self.post("keep/", action="feature")
        self.assertEqual((self.stored().stock, self.stored().is_featured), (15, True))
        self.assertContains(self.post("delete/"), "Featured books stay.")
        self.post("keep/", action="stop featuring")
        self.assertContains(self.post("delete/"), "Salt and Copper is gone")

    def test_a_shopkeeper_adds_a_book(self):
        self.ada.groups.add(Group.objects.get(name="Shopkeepers"))
        author, category = Author.objects.create(name="Jun Takeda"), Category.objects.create(name="Novels")
        data = {"title": "New", "price": "9.50", "authors": [author.pk], "categories": [category.pk]}
        self.assertContains(self.client.post("/books/new/", data, follow=True), "$9.50")

    def test_every_page_answers_also_to_a_visitor(self):
        self.client.logout()
        for address in ("/books/", "/books/authors/", "/books/?category=novels", self.book.get_absolute_url()):
            with self.subTest(address):
                self.assertEqual(self.client.get(address).status_code, 200)

    def test_the_history_of_a_book_has_a_page(self):
        self.assertContains(self.client.get(f"/applications/bookstore/history/book/{self.book.pk}/"), "Created")
