"""Flink's interval join, record by record, in plain Python."""

LEFT, RIGHT = 0, 1


class IntervalModel:
    """Records are ``(key, value)``; gives ``((left, right), time)``.

    Args:
        lower: ms, inclusive.
        upper: ms, inclusive.
    """

    def __init__(self, lower, upper):
        self.relative = ((lower, upper), (-upper, -lower))
        self.watermark = None
        self.buffers = ([], [])
        self.results = []
        self.late = ([], [])

    def add(self, side, record, time):
        if self.watermark is not None and time < self.watermark:
            self.late[side].append(record)
            return
        self.buffers[side].append((record, time))
        lower, upper = self.relative[side]
        for other, at in self.buffers[1 - side]:
            if other[0] == record[0] and time + lower <= at <= time + upper:
                pair = (record, other) if side == LEFT else (other, record)
                self.results.append((pair, max(time, at)))

    def advance(self, watermark):
        self.watermark = watermark
        for side in (LEFT, RIGHT):
            keep = max(self.relative[side][1], 0)
            self.buffers[side][:] = [
                (record, at) for record, at in self.buffers[side] if at + keep > watermark
            ]
