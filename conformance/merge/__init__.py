"""Merge: results of several machines, nights and shards -> one verdict.

What was read is a set of facts, and the merge a function of that set: neither the order of the
folders nor naming one twice changes it, and no fact takes the place of another. Imports everything
below run.
"""

from conformance.merge.facts import Class as Class
from conformance.merge.facts import Conflict as Conflict
from conformance.merge.facts import Fact as Fact
from conformance.merge.facts import Judgement as Judgement
from conformance.merge.facts import Merged as Merged
from conformance.merge.facts import Place as Place
from conformance.merge.facts import ProblemClasses as ProblemClasses
from conformance.merge.referee import Question as Question
from conformance.merge.referee import Referee as Referee
from conformance.merge.referee import merge as merge
from conformance.merge.sources import Sources as Sources
from conformance.merge.sources import golden_place as golden_place
from conformance.merge.sources import hurried as hurried
from conformance.merge.sources import mixed as mixed
from conformance.merge.sources import read_sources as read_sources
