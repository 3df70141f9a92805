"""Somebody joins: mails, a contact, credits, and a deadline that reminds and one that expires: `python -m examples.onboarding`."""

from __future__ import annotations

from farandole import Choreography, Workflow

from .events import AccountExpired, EmailVerified, UserSignedUp
from .services import DAY, accounts, analytics, credits, crm, email

__all__ = ["onboarding"]

joining = Workflow("joining", starts=UserSignedUp, succeeds=EmailVerified, fails=AccountExpired, within=4 * DAY)
onboarding = Choreography("onboarding", accounts, email, crm, credits, analytics, workflows=[joining])
