"""SQS's busiest calls without boto3's layers around them: less than half of its CPU (bench/aws_calls.py)."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from skylens.aws import Aws
from skylens.decoders import decoder
from skylens.queues import SqsQueues

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_sqs import SQSClient

_JSON = "application/x-amz-json-1.0"
_TROUBLE = (urllib3.exceptions.HTTPError, BotoCoreError, OSError, msgspec.DecodeError, ValueError)


def quick_queues(aws: Aws) -> SqsQueues:
    """Queues for what every image goes through."""
    return SqsQueues(quick(aws.sqs(), aws.session), quick(aws.sqs_polling(), aws.session))


def quick(client: "SQSClient", session: "boto3.session.Session") -> "SQSClient":
    """The client, its busiest calls made quick; as it is where a proxy or authorities of one's own are set."""
    url = client.meta.endpoint_url
    own = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if get_environ_proxies(url) or (own and url.startswith("https:")):
        return client
    return cast("SQSClient", QuickSqs(client, session))


class QuickSqs:
    """Sends, receives and deletes by one plain HTTP call, signed by botocore; all else is the client's.

    Whatever does not go well at once is the client's too: it makes the call anew, and its retries, its errors and its
    view of the clock count. A call whose answer was lost may so take effect twice, as with boto3's own retries.
    Owns no thread; may be used by many.
    """

    def __init__(self, client: "SQSClient", session: "boto3.session.Session") -> None:
        """``session``: whose credentials sign. Timeouts and connections are those of ``client``."""
        self._client, self._session = client, session
        config: Any = client.meta.config
        tls = {"ca_certs": get_cert_path(verify=True)} if client.meta.endpoint_url.startswith("https:") else {}
        self._url = client.meta.endpoint_url.rstrip("/") + "/"
        self._pool = urllib3.connection_from_url(
            self._url,
            maxsize=config.max_pool_connections,
            timeout=urllib3.Timeout(connect=config.connect_timeout, read=config.read_timeout),
            retries=False,
            **tls,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def send_message(self, **asked: Any) -> Any:
        return self._made("SendMessage", asked, self._client.send_message)

    def send_message_batch(self, **asked: Any) -> Any:
        return self._made("SendMessageBatch", asked, self._client.send_message_batch)

    def receive_message(self, **asked: Any) -> Any:
        return self._made("ReceiveMessage", asked, self._client.receive_message)

    def delete_message_batch(self, **asked: Any) -> Any:
        return self._made("DeleteMessageBatch", asked, self._client.delete_message_batch)

    def _made(self, operation: str, asked: dict[str, Any], otherwise: Callable[..., Any]) -> Any:
        found = self._call(operation, asked)
        return otherwise(**asked) if found is None else found

    def _call(self, operation: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        """What SQS answered; None when it is for boto3 to find out why it did not."""
        try:
            data = msgspec.json.encode(asked)
            headers = {"Content-Type": _JSON, "X-Amz-Target": f"AmazonSQS.{operation}"}
            request = AWSRequest("POST", self._url, headers=headers, data=data)
            credentials: Any = self._session.get_credentials()
            if credentials is None:
                return None
            SigV4Auth(credentials.get_frozen_credentials(), "sqs", self._client.meta.region_name).add_auth(request)
            answer = self._pool.urlopen("POST", "/", body=data, headers=dict(request.headers))
            if answer.status != 200 or "x-amzn-requestid" not in answer.headers:  # noqa: PLR2004 - HTTP's own number
                return None
            return decoder(dict[str, Any]).decode(answer.data)
        except _TROUBLE:
            return None
