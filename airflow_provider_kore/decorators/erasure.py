"""``@task.kore_erase``: a function returns the users to erase from Kore.ai."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.user_ids import CallableUserIds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskDecorator
    from airflow.sdk import Context


class _KoreEraseDecoratedOperator(DecoratedOperator, KoreEraseUserDataOperator):
    """Erase the users whom a function names; see :class:`KoreEraseUserDataOperator` for all else."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *KoreEraseUserDataOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {**DecoratedOperator.template_fields_renderers}
    # The function gets its arguments as any decorated function does.
    rendered_by_airflow = DecoratedOperator.template_fields
    custom_operator_name = "@task.kore_erase"

    def __init__(
        self,
        *,
        python_callable: Callable[..., object],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401 # the operator's own arguments
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            user_ids=CallableUserIds(python_callable),
            **kwargs,
        )

    def execute(self, context: Context) -> Any:  # noqa: ANN401 # Airflow's own signature
        """Check everything, submit what is due, and wait if asked to."""
        self._bind(context)
        return super().execute(context)

    def resume_execution(
        self,
        next_method: str,
        next_kwargs: dict[str, Any] | None,
        context: Context,
    ) -> Any:  # noqa: ANN401 # Airflow's own signature
        """Resume after the triggerer, in another process than the one that started the task."""
        self._bind(context)
        return super().resume_execution(next_method, next_kwargs, context)

    def _bind(self, context: Context) -> None:
        """Bind the arguments with which each reading calls the function."""
        # Beside the context and not into it: an argument may have the name of a variable that the task needs itself.
        arguments = determine_kwargs(self.python_callable, self.op_args, {**context, **self.op_kwargs})
        bound = partial(self.python_callable, *self.op_args, **arguments)
        self.user_ids = CallableUserIds(update_wrapper(bound, self.python_callable))


def kore_erase_task(
    python_callable: Callable[..., object] | None = None,
    **kwargs: Any,  # noqa: ANN401 # the operator's own arguments
) -> TaskDecorator:
    """
    Make a task that erases the users whom the decorated function names.

    The function runs inside the task, and again at each reading of its users: to check them, to submit them, in a
    retry, and after a deferral to submit the rest, to match answers by id, to verify or to write receipts. It must
    return the same users in the same order each time. What it returns never becomes an XCom, a rendered field or a line
    of the log. Its arguments do, so pass references and not user ids.

    :param python_callable: returns an iterable of user ids, the URI of a file, a text of sealed user ids, or a source
        from :mod:`airflow_provider_kore.user_ids`, whose fields are not templated here.
    :param kwargs: arguments of :class:`KoreEraseUserDataOperator`, without ``user_ids``.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        decorated_operator_class=_KoreEraseDecoratedOperator,
        **kwargs,
    )
