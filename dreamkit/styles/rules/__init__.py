"""Rewriting of captions by rules: words that contradict a style are cut, the style's own words are put in.

May import: captions, workspace, errors, and styles/table.py.
Begin reading at rewriter.py (`RuleRewriter.rewrite`); `phrases` cuts, `scene` finds what must stay.
"""
