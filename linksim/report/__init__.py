"""Tables, figures and the HTML page of finished runs; reads run folders only, and needs no torch."""
