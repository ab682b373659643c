// Guests and silos wait for each other most of the time; more of them would not find two cores.
[assembly: CollectionBehavior(MaxParallelThreads = 3)]
