"""Rewriting of captions by a language model: vLLM in this process, or a server of OpenAI's chat protocol.

May import: captions, workspace, errors, and styles/table.py.
Begin reading at rewriters.py (`ChatModel`); `client` talks to a server, `server` starts one.
"""
