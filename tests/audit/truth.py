"""The truth about a write: the rows before and after it, and on PostgreSQL what triggers have logged."""

import json
from decimal import Decimal

from django.db import connections
from django.db.models import DecimalField, FloatField, JSONField

from heliograph.audit.audited_models import AUDITED
from heliograph.audit.change_texts import key_text
from heliograph.audit.models import Entry
from heliograph.changes.values import UNKNOWN, is_same
from heliograph.outbox.payload.value_decoding import Decoder

LOG = "audit_truth"
ENTRIES = Entry._meta.db_table

# A change is (action, {name: [values]}); a place is (transaction, alias, label, key), or with the name of a relation.


def fields_of(model):
    return [one for one in model._meta.local_concrete_fields if not one.primary_key and not one.generated]


def net(steps, fields):
    """Return the change that these steps make of a row; a step is the values before and after, None for no row."""
    old, new = steps[0][0], steps[-1][1]
    if old is None or new is None:
        values = new if old is None else old
        return (
            None if values is None else ("created" if old is None else "deleted", {n: [v] for n, v in values.items()})
        )
    by_name = {one.name: one for one in fields}
    changes = {
        name: [old[name], new[name]]
        for name in new
        if name in by_name and not is_same(by_name[name], old[name], new[name])
    }
    is_automatic = all(getattr(by_name[name], "auto_now", False) for name in changes)
    return None if is_automatic else ("updated", changes)


def net_of_all(steps_by_place, fields_by_label):
    nets = {place: net(steps, fields_by_label[place[2]]) for place, steps in steps_by_place.items()}
    return {place: change for place, change in nets.items() if change is not None}


# --- rows before and after --------------------------------------------------------------------------------------


def rows_of(model, alias):
    """Return the values of each row of the own table of a model, by the text of its key."""
    fields = fields_of(model)
    keys = [one.attname for one in model._meta.pk_fields]
    query = model._base_manager.using(alias).order_by().values_list(*keys, *(one.attname for one in fields))
    found = {}
    for row in query:
        key = row[0] if len(keys) == 1 else tuple(row[: len(keys)])
        found[key_text(key)] = dict(zip([one.name for one in fields], row[len(keys) :], strict=True))
    return found


def all_rows(models, alias):
    return {model._meta.label: rows_of(model, alias) for model in models}


def changed_rows(before, after, alias):
    """Return the steps of each row that is not the same before and after."""
    steps = {}
    for label, rows in after.items():
        for key in {**before[label], **rows}:
            steps[None, alias, label, key] = [(before[label].get(key), rows.get(key))]
    return steps


def pairs_of(field, alias):
    """Return the pairs of a relation."""
    through = field.remote_field.through
    names = [through._meta.get_field(name).attname for name in (field.m2m_field_name(), field.m2m_reverse_field_name())]
    return {pair for pair in through._base_manager.using(alias).values_list(*names) if None not in pair}


def changed_pairs(field, before, after, alias, transaction=None):
    """Return the changes of a relation, by the rows with the field."""
    found = {}
    through = field.remote_field.through
    target = through._meta.get_field(field.m2m_field_name()).target_field
    rows = {} if target.primary_key else dict(field.model._base_manager.using(alias).values_list(target.attname, "pk"))
    for kind, pairs in (("added", after - before), ("removed", before - after)):
        for key, other in pairs:
            key = rows.get(key, key)
            place = (transaction, alias, field.model._meta.label, key_text(key), field.name)
            found.setdefault(place, {"added": set(), "removed": set()})[kind].add(other)
    return {place: ("related", change) for place, change in found.items()}


# --- what the log says ------------------------------------------------------------------------------------------


def decoded(label, value):
    return Decoder(load=None, batch=None, is_about=lambda model: model._meta.label == label)(value)


def logged(alias, transactions):
    """Return the steps of rows and the changes of relations that the entries have, and the places that come twice."""
    steps, relations, twice = {}, {}, []
    for one in Entry.objects.using(alias).select_related("kind"):
        place = (transactions.get(one.pk), alias, one.kind.model, one.object)
        text = json.loads(one.text)
        assert one.kind.fields == f",{','.join(text)},", one
        if one.kind.action == "related":
            ((name, pairs),) = text.items()
            pairs = {kind: {decoded(one.kind.model, key) for key in keys} for kind, keys in pairs.items()}
            before = relations.setdefault((*place, name), {"added": set(), "removed": set()})
            _add_pairs(before, pairs)
            continue
        values = {name: [decoded(one.kind.model, value) for value in values] for name, values in text.items()}
        old = {name: value[0] for name, value in values.items()}
        new = {name: value[-1] for name, value in values.items()}
        step = (None if one.kind.action == "created" else old, None if one.kind.action == "deleted" else new)
        if place[0] is not None and place in steps:
            twice.append(place)
        steps.setdefault(place, []).append(step)
    return {place: _joined(found) for place, found in steps.items()}, relations, twice


def _add_pairs(before, pairs):
    for kind, other in (("added", "removed"), ("removed", "added")):
        for key in pairs[kind]:
            if key in before[other]:
                before[other].remove(key)
            else:
                before[kind].add(key)


def _joined(steps):
    """Return one step in place of several entries of a row, of which each must begin as the one before has ended."""
    (old, new), *others = steps
    for before, after in others:
        for name, value in (before or {}).items():
            assert new is None or name not in new or new[name] == value, (name, new, before)
        if old is not None:
            old = {**(before or {}), **old}
        new = None if after is None else {**(new or {}), **after}
    return [(old, new)]


# --- triggers ---------------------------------------------------------------------------------------------------


def install_triggers(alias, tables):
    """Let PostgreSQL log every row change, and which transaction has written which entry."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {LOG} CASCADE")
        cursor.execute(
            f"CREATE TABLE {LOG} (seq bigserial, tx bigint, name text, old jsonb, new jsonb);"
            f"CREATE OR REPLACE FUNCTION {LOG}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" INSERT INTO {LOG} (tx, name, old, new) VALUES (txid_current(), TG_TABLE_NAME,"
            " CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END,"
            " CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END); RETURN NULL; END $$"
        )
        for table in tables:
            cursor.execute(
                f'CREATE OR REPLACE TRIGGER {LOG} AFTER INSERT OR UPDATE OR DELETE ON "{table}"'
                f" FOR EACH ROW EXECUTE FUNCTION {LOG}()"
            )


def remove_triggers(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute(f"DROP FUNCTION IF EXISTS {LOG}() CASCADE; DROP TABLE IF EXISTS {LOG}")


def triggered(alias):
    """Return (transaction, table, old row, new row) for each change, as texts of JSON."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT tx, name, old::text, new::text FROM {LOG} ORDER BY seq")
        return cursor.fetchall()


def forget_triggered(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute(f"DELETE FROM {LOG}")


def seen_by_triggers(models, relations, alias):
    """Return the steps of rows, the changes of relations, and the transactions of entries that triggers have logged."""
    tables = {model._meta.db_table: model for model in models}
    throughs = {}
    for field in relations:
        throughs.setdefault(field.remote_field.through._meta.db_table, []).append(field)
    steps, pairs, transactions = {}, {}, {}
    for tx, name, old, new in triggered(alias):
        if name == ENTRIES and old is None:  # an entry that is new
            transactions[json.loads(new)["id"]] = tx
        if name in tables:
            _add_steps(steps, (tx, alias), tables[name], old, new)
        for field in throughs.get(name, ()):
            before, after = pairs.setdefault((tx, field), (set(), set()))
            for text, own, other in ((old, before, after), (new, after, before)):
                pair = _pair(field, text)
                if pair is not None:
                    (other.discard if pair in other and own is after else own.add)(pair)
    changes = {}
    for (tx, field), (before, after) in pairs.items():
        changes.update(changed_pairs(field, before, after, alias, tx))
    return steps, changes, transactions


def _add_steps(steps, where, model, old, new):
    (old_key, before), (new_key, after) = _row(model, old), _row(model, new)
    if old is not None and new is not None and old_key != new_key:
        steps.setdefault((*where, model._meta.label, old_key), []).append((before, None))
        before, old = None, None
    key = new_key if old is None else old_key
    steps.setdefault((*where, model._meta.label, key), []).append((before, after))


def _row(model, text):
    if text is None:
        return None, None
    exact, plain = json.loads(text, parse_float=Decimal), json.loads(text)
    keys = [one.to_python(plain[one.column]) for one in model._meta.pk_fields]
    key = key_text(keys[0] if len(keys) == 1 else tuple(keys))
    return key, {one.name: _value(one, exact[one.column], plain[one.column]) for one in fields_of(model)}


def _value(field, exact, plain):
    target = field
    while target.is_relation:
        target = target.target_field
    if plain is None or isinstance(target, JSONField | FloatField):
        return plain
    return target.to_python(exact if isinstance(target, DecimalField) else plain)


def _pair(field, text):
    if text is None:
        return None
    row, through = json.loads(text), field.remote_field.through
    names = (field.m2m_field_name(), field.m2m_reverse_field_name())
    fields = [through._meta.get_field(name) for name in names]
    pair = tuple(_value(one, row[one.column], row[one.column]) for one in fields)
    return None if None in pair else pair


# --- both -------------------------------------------------------------------------------------------------------


def audited_models():
    return [*AUDITED]


def audited_relations():
    return [field for audited in AUDITED.values() for field in audited.relations.values()]


def faults(expected, found):
    """Return what the log lacks, what it has too much, and what it says wrong."""
    missing = {place: expected[place] for place in expected.keys() - found.keys()}
    excess = {place: found[place] for place in found.keys() - expected.keys()}
    wrong = {
        place: {"is": expected[place], "log": found[place]}
        for place in expected.keys() & found.keys()
        if not _equal(expected[place], found[place])
    }
    return {name: one for name, one in (("missing", missing), ("too many", excess), ("wrong", wrong)) if one}


def _equal(one, other):
    return one == other and _types(one) == _types(other) and UNKNOWN not in [*_flat(other)]


def _types(change):
    return [type(value) for value in _flat(change)] if change[0] != "related" else None


def _flat(change):
    return [value for _, values in sorted(change[1].items()) for value in values] if change[0] != "related" else []
