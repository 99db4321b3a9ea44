"""The page of the HTTP API: each request, from the OpenAPI document that the bot serves."""

from __future__ import annotations

import json
from typing import Any

from words import GENERATED, cell, document, needed, prose, sentence, table

from liteyuki_core.control.api import openapi

SAYS = {
    "en": {
        "title": "HTTP API",
        "intro": (
            "What a program may ask of a running bot: JSON over HTTP, on the control socket "
            "`.liteyuki/control.sock`, which only its user may use. On Windows it is a port of the "
            "loopback interface; the port and the token, which is sent as "
            "`Authorization: Bearer TOKEN`, are in `.liteyuki/control.json`. The document "
            "`/openapi.json` says the same to programs. `LITEYUKI_CONTROL=false` turns it off."
        ),
        "python": (
            "In Python, `liteyuki_core.control.Client` asks: "
            '`Client().ask("GET", "/status")["ok"]`. In a shell: '
            "`curl --unix-socket .liteyuki/control.sock http://bot/status`."
        ),
        "streams": (
            "What is answered as `text/event-stream` goes on until one of the two ends it: "
            "server-sent events. `/log/follow` and `/events` go on behind the `Last-Event-ID` that "
            "they are given. Who reads too slowly loses some, and is told how many: `Lost`."
        ),
        "nodes": (
            "What takes `node` may be asked of another node of the [cluster](../guide/cluster.md), "
            "whose own API answers: `/status?node=back`, also with POST."
        ),
        "requests": "Requests",
        "parameter": "parameter",
        "where": "where",
        "type": "type",
        "default": "default",
        "required": "required",
        "path": "path",
        "query": "query",
        "body": "body",
        "answer": "Answer: ",
        "errors": "Errors",
        "errors intro": "An error is a [`Problem`](#problem). Its status says of which kind:",
        "status": "status",
        "meaning": "meaning",
        "models": "Models",
        "models intro": "",
        "field": "field",
    },
    "zh": {
        "title": "HTTP API",
        "intro": (
            "程序可以向运行中的机器人查询和要求什么：HTTP 上的 JSON，走控制套接字 "
            "`.liteyuki/control.sock`，只有同一用户能用。Windows 上它是回环地址的一个端口，"
            "端口和 token 写在 `.liteyuki/control.json` 里，token 用 "
            "`Authorization: Bearer TOKEN` 发送。`/openapi.json` 是给程序看的同一份说明。"
            "`LITEYUKI_CONTROL=false` 可以关掉它。"
        ),
        "python": (
            "在 Python 里用 `liteyuki_core.control.Client`："
            '`Client().ask("GET", "/status")["ok"]`。在 shell 里：'
            "`curl --unix-socket .liteyuki/control.sock http://bot/status`。"
        ),
        "streams": (
            "以 `text/event-stream` 应答的会一直推送（server-sent events），直到有一方结束它。"
            "`/log/follow` 和 `/events` 可以用 `Last-Event-ID` 续传。读得太慢会丢失一部分，"
            "并得知丢了多少：`Lost`。"
        ),
        "nodes": (
            "有参数 `node` 的请求可以发给[集群](../guide/cluster.md)的另一个节点，由它自己的 API "
            "应答：`/status?node=back`，POST 也一样写在地址里。"
        ),
        "requests": "请求",
        "parameter": "参数",
        "where": "位置",
        "type": "类型",
        "default": "默认值",
        "required": "必填",
        "path": "路径",
        "query": "查询",
        "body": "请求体",
        "answer": "应答：",
        "errors": "错误",
        "errors intro": "出错时应答 [`Problem`](#problem)，状态码说明是哪一类：",
        "status": "状态码",
        "meaning": "含义",
        "models": "数据模型",
        "models intro": "说明取自代码，是英文的。",
        "field": "字段",
    },
}
STATUSES = {
    401: {"en": "the token is missing or wrong", "zh": "没有 token，或 token 不对"},
    404: {"en": "there is no such thing", "zh": "没有所指的东西"},
    408: {"en": "the body did not come in time", "zh": "请求体没有在期限内到达"},
    409: {"en": "it can't be done now", "zh": "现在不能这样做"},
    413: {"en": "the body is too long", "zh": "请求体太长"},
    422: {"en": "it was asked wrongly", "zh": "请求的写法不对"},
    500: {"en": "the bot has failed; its log says how", "zh": "机器人出了错，原因在它的日志里"},
    503: {"en": "the bot does not run yet, or has stopped", "zh": "机器人还没有运行，或已停止"},
    504: {"en": "it was not done in time", "zh": "没有在期限内完成"},
}


def page(language: str) -> str:
    """Return the page."""
    says = SAYS[language]
    spec = json.loads(openapi())
    requests = [
        _request(f"{verb.upper()} {path}", operation, language)
        for path, operations in spec["paths"].items()
        for verb, operation in operations.items()
    ]
    schemas = _answered(spec)
    return document(
        f"# {says['title']}",
        says["intro"],
        says["python"],
        says["streams"],
        says["nodes"],
        GENERATED[language],
        f"## {says['requests']}",
        *requests,
        f"## {says['errors']}",
        says["errors intro"],
        table(
            (says["status"], says["meaning"]),
            [(f"`{status}`", words[language]) for status, words in STATUSES.items()],
        ),
        f"## {says['models']}",
        says["models intro"],
        *(_model(name, schemas[name], language) for name in sorted(schemas)),
    )


def _request(name: str, operation: dict[str, Any], language: str) -> str:
    says = SAYS[language]
    summary = operation.get("summary") if language == "en" else None
    parameters = [
        (each["name"], each["in"], each["schema"], each["required"])
        for each in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = body.get("schema", {})
    parameters += [
        (field, "body", each, field in schema.get("required", []))
        for field, each in schema.get("properties", {}).items()
    ]
    rows = [
        (
            f"`{field}`",
            says[where],
            cell(_type(each)),
            says["required"] if required else _default(each),
        )
        for field, where, each, required in parameters
    ]
    ((media, answer),) = operation["responses"]["200"]["content"].items()
    json_answer = media == "application/json"
    head = (says["parameter"], says["where"], says["type"], says["default"])
    return document(
        f"### `{name}`",
        prose(summary) if summary else sentence(needed("http", name, language)),
        table(head, rows) if rows else "",
        says["answer"] + (_type(answer["schema"]) if json_answer else f"`{media}`"),
    )


def _answered(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the models of answers, by name. What requests take stands with the requests."""
    found = {
        schema["title"]: schema
        for operations in spec["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"]["200"]["content"].values()
        if "title" in (schema := answer["schema"])
    }
    return found | {
        name: schema
        for name, schema in spec["components"]["schemas"].items()
        if not _is_asked(schema)
    }


def _is_asked(schema: dict[str, Any]) -> bool:
    return schema.get("additionalProperties") is False


def _model(name: str, schema: dict[str, Any], language: str) -> str:
    says = SAYS[language]
    rows = [
        (f"`{field}`", cell(_type(each))) for field, each in schema.get("properties", {}).items()
    ]
    return document(
        f"### `{name}`",
        prose(schema.get("description", "")),
        table((says["field"], says["type"]), rows) if rows else "",
    )


def _default(schema: dict[str, Any]) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def _type(schema: dict[str, Any]) -> str:
    """Return a type of JSON, in a few words."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "object" and "title" in schema:
        values = schema.get("additionalProperties")
        if isinstance(values, dict):  # The title is the field's, not that of a model.
            return f"object of {_type(values)}"
        return _link(schema["title"])
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}"
    kind: str = schema.get("type", "any JSON")
    if schema.get("format") == "date-time":
        return "date and time"
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum")
    if low is not None and high is not None:
        edge = "over " if "exclusiveMinimum" in schema else ""
        return f"{kind}, {edge}{low:g} to {high:g}"
    return kind


def _link(name: str) -> str:
    return f"[`{name}`](#{name.lower()})"
