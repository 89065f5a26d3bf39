"""The model zoo: cards, packs, the store that fetches and checks, and what old graphs need."""
