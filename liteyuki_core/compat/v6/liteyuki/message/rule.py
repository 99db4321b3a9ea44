"""The name that 6.3.6 to 6.3.9 have for rules."""

from ..session.rule import Rule, RuleHandlerFunc, empty_rule, is_su_rule

__all__ = ["Rule", "RuleHandlerFunc", "empty_rule", "is_su_rule"]
