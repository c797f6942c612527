"""Mail: a worker sends a mail about a row after the commit of a write for which a condition holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parseaddr
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ObjectDoesNotExist
from django.core.mail import DNS_NAME, EmailMultiAlternatives
from django.db.models import ForeignKey, Model
from django.template import TemplateDoesNotExist
from django.template.backends.django import Template
from django.template.context import make_context
from django.template.loader import get_template
from django.utils import translation
from django.utils.encoding import punycode

from heliograph import Condition, Discard, Durable, Retry, raw
from heliograph.building import Changed
from heliograph.outbox import ThisDelivery
from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.recipes.fields import field_named
from heliograph.signals import post_save

OfRow = str | Callable[[Any], Any]  # a path from the row, such as "customer.email", or a function of it
Context = Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]

FOR_HOURS = Retry(attempts=20)  # some eight hours: servers are away, and some refuse what is new for a while


class MailRefusedError(Exception):
    """The mail server has refused an address or a mail for good, so that the delivery is a dead letter."""


def mail(
    model: type[Model] | str,
    *,
    when: Condition,
    to: OfRow,
    template: str,
    context: Context | None = None,
    language: OfRow | None = None,
    from_email: str | None = None,
    queue: str = "default",
    retry: Retry = FOR_HOURS,
) -> Declaration:
    """Send a mail about each row for which a condition holds when it is written, once the transaction is committed.

        shipped = changed("status", to="shipped")
        mail(Order, when=shipped, to="customer.email", template="orders/shipped")

    - `to`: a path of fields to an address, or a function of the row.
    - `template`: the beginning of the names of templates. This renders `orders/shipped_subject.txt`,
      `orders/shipped_message.txt` and, if there is one, `orders/shipped_message.html`, with the row as `order`, and
      what has changed as `changes`.
    - `context`: more values for the templates: a mapping, or a function of the row that returns one.
    - `language`: a path of fields to a code such as "de", or a function of the row.
    - `from_email`: the sender, by default `DEFAULT_FROM_EMAIL`.
    - `queue` and `retry`: where and how often a worker of the outbox tries. The default of 20 attempts lets a mail
      server be down for about eight hours. All attempts have one Message-ID.

    The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for a path that leads nowhere; if models are not loaded yet, a system check
    reports it, as another one does for templates that are missing. A mail that the server refuses for good is a dead
    letter with a `MailRefusedError`.
    """
    given = {"when": when, "to": to, "template": template, "context": context, "language": language}
    text = written("mail", model, **{name: value for name, value in given.items() if value is not None})
    if not isinstance(when, Condition):
        raise TypeError(f"{text}: when= takes a condition, such as created or changed('status', to='shipped').")

    def connect(declaration: Declaration, model: type[Model]) -> None:
        for path in (to, language):
            _verify_path(text, model, path)
        declaration.claim((model, template), "it is declared already", "Take another template.")
        _templates[declaration] = template
        declaration.undone_by(_templates.pop, declaration)
        about = Mail(model, to, template, context or {}, language, from_email)
        _connect(declaration, about, when, Durable(queue=queue, retry=_giving_up(retry), atomic=False))

    register(check_templates)
    return declare(text, connect, model)


def _connect(declaration: Declaration, about: Mail, when: Condition, delivery: Durable) -> None:
    has_old = any(isinstance(leaf, Changed) for leaf in when.leaves())
    declaration.connect(
        post_save,
        SendingWithChanges(about) if has_old else Sending(about),
        sender=about.model,
        subclasses=True,
        when=~raw & when,
        bulk=True,
        fetch="lock" if has_old else None,
        delivery=delivery,
    )


def _giving_up(retry: Any) -> Any:
    """Return a retry that does not repeat what the server has refused for good; `Durable` refuses what is no retry."""
    return replace(retry, give_up_on=(*retry.give_up_on, MailRefusedError)) if isinstance(retry, Retry) else retry


# --- receivers ----------------------------------------------------------------------------------------------------


class Sending:
    """The receiver that sends a mail in a worker."""

    def __init__(self, about: Mail) -> None:
        self.mail = about
        self.__name__ = self.__qualname__ = about.name

    def __call__(self, sender: Any, instance: Any, delivery: ThisDelivery, **kwargs: Any) -> Discard | None:
        """Send the mail about a row; nothing if the row has no address."""
        return self.mail.send(instance, {}, delivery)


class SendingWithChanges(Sending):
    """The same for a condition on what has changed."""

    def __call__(  # type: ignore[override]  # the parameter is what asks for the changes
        self, sender: Any, instance: Any, changes: Any, delivery: ThisDelivery, **kwargs: Any
    ) -> Discard | None:
        """Send the mail about a row; nothing if the row has no address."""
        return self.mail.send(instance, changes, delivery)


# --- the mail -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mail:
    """A mail about a row, as it was declared."""

    model: type[Model]
    to: OfRow
    template: str
    context: Context
    language: OfRow | None
    from_email: str | None

    @property
    def name(self) -> str:
        """The name of the receiver, by which workers find it."""
        return f"mail({self.model._meta.label}, {self.template})"

    def send(self, instance: Any, changes: Any, delivery: ThisDelivery) -> Discard | None:
        """Send the mail; `Discard` says why there is none."""
        address = _of_row(self.to, instance)
        if not address:
            return Discard(f"{instance._meta.label} {instance.pk!r} has no address")
        if not isinstance(address, str):
            raise TypeError(
                f"{self.name}: to= has given {address!r}, and takes one address. Declare a mail for each reader."
            )
        _sent(self.message(instance, address, changes, delivery.idempotency_key))
        return None

    def message(self, instance: Any, address: str, changes: Any, key: str) -> EmailMultiAlternatives:
        """Return the mail to an address; mails with the same key have the same Message-ID."""
        sender = self.from_email or settings.DEFAULT_FROM_EMAIL
        given = self.context(instance) if callable(self.context) else self.context
        context = {str(self.model._meta.model_name): instance, "changes": changes, **given}
        with translation.override(self._language(instance)):
            subject = " ".join(text_of(f"{self.template}_subject.txt", context).split())
            text = text_of(f"{self.template}_message.txt", context)
            html = html_of(f"{self.template}_message.html", context)
        headers = {"Message-ID": f"<{key}@{_domain(sender)}>"}
        message = EmailMultiAlternatives(subject, text, sender, [address], headers=headers)
        if html is not None:
            message.attach_alternative(html, "text/html")
        return message

    def _language(self, instance: Any) -> str:
        language = None if self.language is None else _of_row(self.language, instance)
        return str(language or settings.LANGUAGE_CODE)


_FOR_EACH = "Declare a mail for each reader."


def _of_row(asked: OfRow, instance: Any) -> Any:
    """Return what a path leads to, or what a function returns for a row; None where the path ends before."""
    if callable(asked):
        return asked(instance)
    value = instance
    for name in asked.split("."):
        try:
            value = getattr(value, name)
        except ObjectDoesNotExist:
            return None
        if value is None:
            return None
    return value


def _domain(sender: str) -> str:
    """Return the domain of an address; the name of this machine, if there is none."""
    _, at, domain = parseaddr(sender)[1].rpartition("@")
    return punycode(domain) if at else str(DNS_NAME)


def _sent(message: EmailMultiAlternatives) -> None:
    """Send a mail; raise MailRefusedError for what another attempt would not change."""
    try:
        message.send()
    except SMTPRecipientsRefused as error:
        if all(code >= 500 for code, _ in error.recipients.values()):
            raise MailRefusedError(_reasons(error.recipients)) from error
        raise
    except SMTPDataError as error:
        if error.smtp_code >= 500:
            raise MailRefusedError(_reasons({message.to[0]: (error.smtp_code, error.smtp_error)})) from error
        raise


def _reasons(refused: Mapping[str, tuple[int, bytes | str]]) -> str:
    """Return who was refused and why, as the server has said it."""
    return "; ".join(f"{address}: {code} {_decoded(reason)}" for address, (code, reason) in refused.items())


def _decoded(reason: bytes | str) -> str:
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason


# --- templates ----------------------------------------------------------------------------------------------------


def text_of(name: str, context: dict[str, Any]) -> str:
    """Render a template of plain text, in which an apostrophe stays an apostrophe."""
    template: Any = get_template(name)
    if isinstance(template, Template):
        return template.template.render(make_context(context, autoescape=False))
    return str(template.render(context))


def html_of(name: str, context: dict[str, Any]) -> str | None:
    """Render a template of HTML, or return None if there is no such template."""
    try:
        template: Any = get_template(name)
    except TemplateDoesNotExist:
        return None
    return str(template.render(context))


_templates: dict[Declaration, str] = {}


def check_templates(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each template that a mail needs and that is not there."""
    return [
        Error(
            f"There is no template {name!r}.",
            hint=f"Add it: the mail is declared at {declaration.line}.",
            obj=declaration.text,
            id="heliograph.E202",
        )
        for declaration, template in _templates.items()
        for name in _missing(template)
    ]


def _missing(template: str) -> Iterator[str]:
    for name in (f"{template}_subject.txt", f"{template}_message.txt"):
        try:
            get_template(name)
        except TemplateDoesNotExist:
            yield name


def _verify_path(text: str, model: Any, path: Any) -> None:
    """Raise TypeError for a path from a row that leads nowhere, as far as fields and attributes of classes say it."""
    if path is None or callable(path):
        return
    if not isinstance(path, str):
        raise TypeError(f"{text}: {path!r} is neither a path, such as 'customer.email', nor a function of the row.")
    for name in path.split("."):
        if not hasattr(model, name):
            field_named(text, model, name)
        field = {one.name: one for one in model._meta.concrete_fields}.get(name)
        if not isinstance(field, ForeignKey):
            return
        model = field.remote_field.model
