"""What a client can catch."""


class Refusal(Exception):
    """An answer that says no: a code and a text as AWS has them, since users match on both.

    `status` is the HTTP status; leave it out and the service's model decides, or 400. `fields` are the further
    members that the model gives this error (`Bucket` of NoSuchBucket, `OriginalStatusCode` of ModelError).
    """

    def __init__(self, code: str, message: str, status: int | None = None, **fields: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.fields = code, message, status, fields
