"""The stream of Nexmark: people who join, auctions they open, bids they place."""
