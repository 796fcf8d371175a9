"""Topics: which there are, and what is at each."""

from typing import Annotated, Any

from fastapi import Query

from bartizan.api import schemas_live as schemas
from bartizan.api.house import Housed
from bartizan.api.permissions import Permission
from bartizan.api.routes.retained import TOPIC_CHARS_MAX
from bartizan.api.routing import Routes
from bartizan.broker.inspecting import DEPTH_MAX, OVER_S_MAX

ROUTES = Routes("topics")


@ROUTES.on("GET", "/topics", Permission.LOOK_ALL, response_model=schemas.TopicTree, response_model_exclude_unset=True)
async def show_topics(
    house: Housed,
    prefix: Annotated[
        str, Query(max_length=TOPIC_CHARS_MAX, description="Whole levels, such as `plant/chicago`. Default: all.")
    ] = "",
    depth: Annotated[int, Query(ge=1, le=DEPTH_MAX, description="So many levels below it.")] = 1,
    over_s: Annotated[
        float, Query(ge=0, le=OVER_S_MAX, description="Counts for so long what is published; 0: not.")
    ] = 0,
) -> dict[str, Any]:
    """Show topics below a prefix: what is retained, subscribed to and was used at each and below it. 10,000 at most."""
    return await house.broker.inspecting.topics(prefix, depth, over_s=over_s)
