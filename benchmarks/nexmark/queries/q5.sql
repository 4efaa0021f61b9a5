-- Hot items: the auctions with most bids, every 2 seconds over the last 10.
WITH counted AS (
  SELECT auction, COUNT(*) AS num, window_start, window_end
  FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
  GROUP BY auction, window_start, window_end
)
SELECT counted.auction, counted.num
FROM counted
JOIN (
  SELECT MAX(num) AS most, window_start, window_end
  FROM counted
  GROUP BY window_start, window_end
) AS best
ON counted.window_start = best.window_start AND counted.window_end = best.window_end
   AND counted.num >= best.most
