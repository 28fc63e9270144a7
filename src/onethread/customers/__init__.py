"""Who is who: identifiers, the evidence between them, and the customers it makes."""
