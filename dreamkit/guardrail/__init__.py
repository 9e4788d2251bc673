"""Checks of prompts and videos, as NVIDIA's guardrail runs them, and the record of which ran.

May import workspace and errors. Begin with `guard`; then one module a check: `blocklist`, `llama_guard`,
`content_filter`, `faces`. Their libraries are imported when a check is loaded, not before.
"""
