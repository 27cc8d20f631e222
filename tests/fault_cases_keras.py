KERAS = ()
