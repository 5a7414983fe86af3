"""Directives whose content is Markdown generated from the code.

    ```{generated} recipe
    ```

inserts the result of `PAGES["recipe"]`; further words are arguments of that function.
"""

from collections.abc import Callable, Mapping

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from scenekit_docs import checks, commands, hooks, keys, numbers, options, recipe

PAGES: Mapping[str, Callable[..., str]] = {
    "checks": checks.table_of_checks,
    "commands": commands.page_of_commands,
    "constants": keys.constants,
    "hook": hooks.hook,
    "keys": keys.table_of_keys,
    "numbers": numbers.page_of,
    "numbers-part": numbers.part_of,
    "options": options.page_of_kind,
    "presets": options.presets,
    "proposals": options.sources_of_proposals,
    "recipe": recipe.page_of_recipe,
    "weights": options.weights,
}


class Generated(SphinxDirective):
    """Markdown of one of PAGES, in place of the directive."""

    required_arguments = 1
    optional_arguments = 9
    final_argument_whitespace = False

    def run(self) -> list[nodes.Node]:
        """Parse the result of the function as a part of the page, including headings."""
        name, *arguments = self.arguments
        if name not in PAGES:
            raise self.error(f"unknown page {name!r}; expected one of {', '.join(PAGES)}")
        return self.parse_text_to_nodes(PAGES[name](*arguments), allow_section_headings=True)


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("generated", Generated)
