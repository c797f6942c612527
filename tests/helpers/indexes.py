"""Indexes for the tests of `search_index()`: a search server in the memory of the test."""


class Index:
    """The documents of an index, by primary key; and each list of keys that was written."""

    def __init__(self):
        self.documents = {}
        self.writes = []
        self.refused = set()  # keys of rows whose documents it refuses to write or to remove

    def __repr__(self):
        return "Index()"

    def write(self, documents, using):
        self.writes.append([*documents])
        self.refuse(documents)
        self.documents.update(documents)

    def refuse(self, pks):
        if self.refused & {*pks}:
            raise ConnectionError("the index refuses")

    def remove(self, pks, using):
        self.refuse(pks)
        for pk in pks:
            self.documents.pop(pk, None)

    def values(self, name):
        return [document[name] for document in self.documents.values()]


class ListedIndex(Index):
    """An index that can be compared with the rows."""

    def wrong(self, documents, pks, using):
        return {pk: "wrong" for pk in pks if self.documents.get(pk) != documents.get(pk)}

    def pks(self, using):
        return iter([*self.documents])
