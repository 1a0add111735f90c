"""Merge: results of several machines, nights and shards -> one verdict.

What was read is a set of facts, and the merge a function of that set: neither the order of the
folders nor naming one twice changes it, and no fact takes the place of another.
"""

from conformance.merge.classes import Question as Question
from conformance.merge.classes import Referee as Referee
from conformance.merge.classes import merge as merge
from conformance.merge.model import Class as Class
from conformance.merge.model import Conflict as Conflict
from conformance.merge.model import Fact as Fact
from conformance.merge.model import Judgement as Judgement
from conformance.merge.model import Merged as Merged
from conformance.merge.model import Place as Place
from conformance.merge.model import ProblemClasses as ProblemClasses
from conformance.merge.sources import Sources as Sources
from conformance.merge.sources import golden_place as golden_place
from conformance.merge.sources import read_sources as read_sources
