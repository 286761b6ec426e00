"""Render the template fields of a task so that text stays text."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.context import render_template_to_string
from jinja2 import TemplateSyntaxError, Undefined
from jinja2.compiler import CodeGenerator
from jinja2.nativetypes import NativeEnvironment

from airflow_provider_kore.exceptions import KoreInputError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

_READ_FROM_TEXT = str | bytes | int | float | complex | Undefined
"""What native rendering makes of text, or of what is undefined."""


def require_rendered(name: str, written: object, rendered: object) -> None:
    """
    Refuse a template or an XCom that renders to nothing.

    :param name: what to call the argument in the error.
    :param written: its value in the DAG.
    :param rendered: its value in this task.
    :raises KoreInputError: if the two differ, and the rendered one is ``None``, also as text, or blank.
    """
    if written is None or rendered is written:
        return
    if rendered is None or (isinstance(rendered, str) and rendered.strip() in ("", "None")):
        raise KoreInputError(
            f"{name} renders to nothing.",
            remedy=f"Check the params of the run, and what the task that {name} refers to returned. A task that "
            "returns nothing, or is skipped, has no XCom.",
        )


class TextTemplatesMixin(BaseOperator):
    """
    Render the template fields of a task so that text stays text.

    With ``render_template_as_native_obj=True`` Airflow reads text as Python, even where it has no template:
    ``"491701234567"`` becomes a number, and quotes vanish. Here text without a template stays as it is written, and a
    template renders to text, a list, a mapping, a bool, ``None`` or an object, but never to a number.

    Before Airflow 3.3, Airflow leaves a template as it is written if it renders to ``False``, to ``None`` or to
    anything else that is empty. Here each renders to its value.

    :cvar must_render: the arguments that must not render to nothing.
    :cvar must_not_vanish: the arguments that become empty text where they render to ``None``. The task refuses the
        text, while ``None`` would mean that the argument is absent.
    :cvar rendered_by_airflow: the arguments in which a template renders as in any other operator.
    """

    must_render: ClassVar[Collection[str]] = ("kore_conn_id", "request_id", "destination", "user_ids")
    must_not_vanish: ClassVar[Collection[str]] = ()
    rendered_by_airflow: ClassVar[Collection[str]] = ()
    _keeps_text = True

    def render_template(
        self,
        content: Any,  # noqa: ANN401 # Airflow's own signature
        context: Context,
        jinja_env: Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:  # noqa: ANN401
        """
        Render a value; see the class for what text renders to.

        :param content: text, or what may contain text.
        :param context: the values for its templates.
        :param jinja_env: the environment of Jinja; default: that of the task.
        :param seen_oids: the ids of objects that are not to be rendered.
        """
        is_text = isinstance(content, str) and id(content) not in (seen_oids or ())
        if not is_text or content.endswith(tuple(self.template_ext)):
            return super().render_template(content, context, jinja_env, seen_oids)
        jinja_env = jinja_env or self.get_template_env()
        try:
            if all(kind == "data" for _, kind, _ in jinja_env.lex(content)):
                return content
        except TemplateSyntaxError:
            pass  # Airflow raises it below
        rendered = super().render_template(content, context, jinja_env, seen_oids)
        is_native = self._keeps_text and isinstance(jinja_env, NativeEnvironment)
        if is_native and isinstance(rendered, _READ_FROM_TEXT) and not isinstance(rendered, bool):
            text_env = jinja_env.overlay()
            text_env.code_generator_class = CodeGenerator
            return render_template_to_string(text_env.from_string(content), context)
        return rendered

    def _do_render_template_fields(
        self,
        parent: Any,  # noqa: ANN401 # Airflow's own signature
        template_fields: Iterable[str],
        context: Context,
        jinja_env: Environment,
        seen_oids: set[int],
    ) -> None:
        """Render the fields; Airflow calls this for mapped tasks too, and nothing else that gets the field's name."""
        if parent is not self:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
            return
        for name in template_fields:
            written = getattr(self, name)
            self._keeps_text = name not in self.rendered_by_airflow
            if callable(written):
                rendered = written(context=context, jinja_env=jinja_env)
            else:
                rendered = self.render_template(written, context, jinja_env, seen_oids)
            if name in self.must_render:
                require_rendered(name, written, rendered)
            if name in self.must_not_vanish and rendered is None and written is not None:
                rendered = ""
            setattr(self, name, rendered)
