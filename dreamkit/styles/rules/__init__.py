"""Rewriting of captions by rules: words that contradict a style are cut, the style's own words are put in.

May import: captions, workspace, errors, and styles/table.py.
Begin reading at rewriter.py (`RuleRewriter.rewrite`); `cutting` cuts by clause, `compose` writes the style's sentences.
"""
