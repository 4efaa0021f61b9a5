-- The average price of each seller's last ten closed auctions.
SELECT seller,
       AVG(final) OVER (
         PARTITION BY seller ORDER BY `dateTime` ROWS BETWEEN 10 PRECEDING AND CURRENT ROW
       ) AS average
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY id, seller ORDER BY final DESC) AS place
  FROM (
    SELECT a.id, a.seller, b.price AS final, b.`dateTime`
    FROM auction AS a
    JOIN bid AS b ON a.id = b.auction AND b.`dateTime` BETWEEN a.`dateTime` AND a.expires
  ) AS offers
) AS ordered
WHERE place <= 1
