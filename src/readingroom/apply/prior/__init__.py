"""What a machine was like before us: recorded on the machine before the first change, and given back from there.

The modules of this package run on the machine, as root, sent there for each run and never installed: only the standard
library, and nothing of Reading Room. They know no role, no policy and no engine; what a role manages reaches them as
plain data. The record lies under /var/lib/readingroom/prior, for root alone, and nothing of it leaves the machine.
"""
