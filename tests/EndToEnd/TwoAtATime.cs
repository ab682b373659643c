// A guest under TCG takes a whole core.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
