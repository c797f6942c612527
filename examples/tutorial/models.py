"""The models of the patterns: members, guides, carts, products and orders."""

from django.db import models


class Member(models.Model):
    name = models.CharField(max_length=50, default="")
    email = models.EmailField(default="")


class Profile(models.Model):
    member = models.OneToOneField(Member, models.CASCADE)
    locale = models.CharField(max_length=5, default="en")


class Guide(models.Model):
    title = models.CharField(max_length=100)
    slug = models.SlugField(max_length=110, unique=True, blank=True)


class Cart(models.Model):
    items_count = models.IntegerField(default=0)


class Item(models.Model):
    cart = models.ForeignKey(Cart, models.CASCADE, related_name="items")


class Product(models.Model):
    title = models.CharField(max_length=100, default="")
    price = models.IntegerField(default=0)
    stock = models.IntegerField(default=0)
    image = models.FileField(upload_to="products", blank=True)


class PriceChange(models.Model):
    """The audit trail that tutorials write by hand."""

    product = models.ForeignKey(Product, models.CASCADE)
    old = models.IntegerField()
    new = models.IntegerField()


class OrderLine(models.Model):
    product = models.ForeignKey(Product, models.CASCADE)
    quantity = models.IntegerField(default=1)


class Order(models.Model):
    is_indexed = models.BooleanField(default=False)
