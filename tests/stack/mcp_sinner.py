"""An MCP server with one good tool and many bad ones, each named for its sin.

`python mcp_sinner.py ends_at_once` is a sin of the whole server.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations

ANY = {"type": "object"}
NUMBER = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
READS = ToolAnnotations(read_only_hint=True)

TOOLS = [
    Tool(name="echo", description="Says it again", input_schema=NUMBER, output_schema=NUMBER, annotations=READS),
    Tool(name="tells_its_process_id", input_schema=ANY, annotations=READS),
    Tool(name="refuses", input_schema=ANY, annotations=READS),
    Tool(name="hangs", input_schema=ANY, annotations=READS),
    Tool(name="dies", input_schema=ANY, annotations=READS),
    Tool(name="lies_about_its_output", input_schema=ANY, output_schema=NUMBER, annotations=READS),
    Tool(name="prints_garbage", input_schema=ANY, annotations=READS),
    Tool(name="floods", input_schema=ANY, annotations=READS),
    Tool(name="has_no_schema", input_schema={"type": "object", "properties": {"a": {"type": "nonsense"}}}, annotations=READS),
    Tool(name="refers_elsewhere", input_schema={"type": "object", "$ref": "http://127.0.0.1:9/schema"}, annotations=READS),
    Tool(name="remembers", description="Writes into a file", input_schema=ANY),
    Tool(name="breaks_when_confirmed", input_schema=ANY),
]


async def list_tools(context: Any, parameters: Any) -> ListToolsResult:
    return ListToolsResult(tools=TOOLS)


async def call_tool(context: Any, parameters: Any) -> CallToolResult:
    arguments = parameters.arguments or {}
    match parameters.name:
        case "echo":
            return result("", arguments)
        case "refuses":
            return CallToolResult(content=[TextContent(type="text", text="not today")], is_error=True)
        case "hangs":
            await asyncio.Event().wait()
        case "dies" | "breaks_when_confirmed":
            os._exit(1)
        case "lies_about_its_output":
            return result("", {"number": "seven"})
        case "prints_garbage":
            # The SDK keeps standard output to itself; this is where it put it.
            for descriptor in range(3, 20):
                try:
                    os.write(descriptor, b"Traceback (most recent call last):\n")
                except OSError:
                    continue
            await asyncio.Event().wait()
        case "floods":
            return result("x" * 300_000, None)
        case "remembers":
            note(arguments)
            return result("noted", None)
    return result(str(os.getpid()), None)


def note(arguments: dict[str, Any]) -> None:
    with open(os.environ["SINNER_FILE"], "a") as file:
        file.write(f"{arguments.get('what', '')}\n")


def result(text: str, data: dict[str, Any] | None) -> CallToolResult:
    content = [TextContent(type="text", text=text)]
    return CallToolResult(content=content) if data is None else CallToolResult(content=content, structured_content=data)


async def main() -> None:
    server: Server[Any] = Server("sinner", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


if __name__ == "__main__":
    if "ends_at_once" in sys.argv:
        sys.exit(3)
    asyncio.run(main())
