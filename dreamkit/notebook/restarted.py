"""What a page of ipywidgets shows when its kernel was restarted, so that it no longer answers."""

from __future__ import annotations

RESTARTED = "The kernel was restarted: run this cell again · 内核已重启，请重新运行"


def restarted_style(page: str) -> str:
    """CSS that shows RESTARTED above a page whose kernel is gone.

    ipywidgets gives every widget without a kernel the class `jupyter-widgets-disconnected`, and an icon before it that
    moves the page's columns; the icons inside the page are left out.

    Args:
        page: the CSS class of the page's outermost box.
    """
    return f"""
.{page}.jupyter-widgets-disconnected {{ flex-wrap: wrap }}
.{page}.jupyter-widgets-disconnected::before {{ content: "{RESTARTED}"; flex: 0 0 auto; width: 100%; height: auto;
  margin: 0; padding: 2px 0; background: none; font: 600 13px/1.4 var(--jp-ui-font-family, sans-serif);
  color: var(--jp-error-color1, #d9534f) }}
.{page} .jupyter-widgets-disconnected::before {{ display: none !important }}
"""
