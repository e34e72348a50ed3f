"""Live events as existing libraries send them (the Segment HTTP tracking API), made deeds."""
